//! What is on a node besides its agent: the journal on its disk and the guests that run, each with its deadline.
//!
//! A guest prints its fence and publishes under its own prefix, so that every result tells whose it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crds::digest::Digest;
use crds::job::{S3Publish, WasmJob};
use crds::node::{Assignment, AssignmentReport, EndedReport};
use crds::reason::Reason;
use crds::report::{Durations, Outcome, Report, ResultReport, StreamReport, Usage};
use jiff::Timestamp;
use node_agent::decide::Past;
use runner::publish::s3::Destination;

use super::clock::Millis;

/// One worker process with its guest.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) id: String,
    pub(crate) fence: Arc<str>,
    pub(crate) pod: Arc<str>,
    pub(crate) node: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) job: Arc<str>,
    pub(crate) run: i64,
    pub(crate) attempt: i32,
    /// Hash and UID of the job that it really runs, and whether that was to be run at all.
    pub(crate) runs: (Arc<str>, String),
    pub(crate) meant: (Arc<str>, String),
    pub(crate) is_wanted: bool,
    pub(crate) start: Timestamp,
    pub(crate) since: Millis,
}

/// How a guest ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completes,
    Fails,
    /// Of our own making.
    CannotFetch,
    /// Takes its agent along.
    KillsAgent,
}

/// A guest's end, for its agent.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) fence: Arc<str>,
    pub(crate) start: Option<Timestamp>,
    pub(crate) report: EndedReport,
}

/// A node's disk and processes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) guests: Vec<Guest>,
    journal: BTreeMap<String, Option<AssignmentReport>>,
    /// Whether what is not in the journal was not started.
    pub(crate) journal_is_complete: bool,
    /// The agent's clock, at the step that is under way.
    pub(crate) instant: Instant,
}

// === impl Node ===

impl Node {
    pub(crate) fn new(instant: Instant) -> Self {
        Self { guests: Vec::new(), journal: BTreeMap::new(), journal_is_complete: true, instant }
    }

    pub(crate) fn journal_started(&mut self, fence: &str) {
        self.journal.entry(fence.to_owned()).or_insert(None);
    }

    pub(crate) fn journal_ended(&mut self, report: &AssignmentReport) {
        self.journal.insert(report.fence.clone(), Some(report.clone()));
    }

    pub(crate) fn has_ended(&self, fence: &str) -> bool {
        self.journal.get(fence).is_some_and(Option::is_some)
    }

    pub(crate) fn past(&self, fence: &str) -> Past {
        match self.journal.get(fence) {
            Some(Some(report)) => Past::Ended(Box::new(report.clone())),
            Some(None) => Past::Started,
            None if self.journal_is_complete => Past::NotStarted,
            None => Past::Unknown,
        }
    }

    /// The disk is lost.
    pub(crate) fn lose_journal(&mut self) {
        self.journal.clear();
        self.journal_is_complete = false;
    }

    /// A pod's guests die with it.
    pub(crate) fn kill_guests(&mut self, pod: &str) {
        self.guests.retain(|guest| *guest.pod != *pod);
    }

    pub(crate) fn kill_guest(&mut self, fence: &str) {
        self.guests.retain(|guest| *guest.fence != *fence);
    }
}

// === impl Guest ===

impl Guest {
    pub(crate) fn new(id: &str, entry: &Assignment, job: &WasmJob, on: (&Arc<str>, &Arc<str>), start: Timestamp, since: Millis) -> Self {
        let uid: Arc<str> = job.metadata.uid.as_deref().unwrap_or_default().into();
        let is_wanted = job.spec.cancel != Some(true) && job.spec.suspend != Some(true);
        Self {
            id: id.to_owned(),
            fence: entry.fence.as_str().into(),
            pod: on.0.clone(),
            node: on.1.clone(),
            uid: entry.job.uid.as_str().into(),
            job: entry.job.name.as_str().into(),
            run: entry.job.run,
            attempt: entry.attempt,
            runs: (uid, job.spec.run.hash()),
            meant: (entry.job.uid.as_str().into(), entry.job.spec_hash.clone()),
            is_wanted,
            start,
            since,
        }
    }

    /// Where it publishes: by the runner's own rule.
    pub(crate) fn prefix(&self) -> String {
        let publish = S3Publish { prefix: Some("results/{job}/".to_owned()), ..bucket() };
        let destination = Destination {
            publish: &publish,
            namespace: "team-a",
            job: &self.job,
            run: self.run,
            index: 0,
            attempt: i64::from(self.attempt),
            fence: &self.fence,
            output: None,
        };
        destination.prefix()
    }

    /// What its agent is told when it has ended by itself.
    pub(crate) fn end(&self, ending: Ending, prefix: &str, now: Timestamp) -> Ended {
        let (reason, exit_code) = match ending {
            Ending::Completes => (Reason::Completed, Some(0)),
            Ending::Fails => (Reason::GuestExit, Some(3)),
            Ending::CannotFetch => (Reason::FetchFailed, None),
            Ending::KillsAgent => (Reason::WorkerKilled, None),
        };
        let stream = |tail: &str| StreamReport { tail: tail.to_owned(), bytes: tail.len() as u64, truncated: false };
        let published = ResultReport {
            name: "outputs".to_owned(),
            uri: Some(format!("s3://bucket/{prefix}")),
            more_uris: Vec::new(),
            size_bytes: 1,
            files: 1,
            digest: Digest::of(self.fence.as_bytes()),
        };
        let message = if ending == Ending::Completes { String::new() } else { format!("{ending:?} of {}", self.job) };
        let report = Report {
            outcome: Outcome { reason, exit_code, message },
            module: None,
            stdout: stream(if exit_code.is_some() { &self.fence } else { "" }),
            stderr: stream(""),
            results: if ending == Ending::Completes { vec![published] } else { Vec::new() },
            config_maps: Vec::new(),
            absent_inputs: Vec::new(),
            network_denied: Vec::new(),
            start_time: self.start,
            finish_time: now,
            durations: Durations::default(),
            usage: Usage::default(),
        };
        Ended { id: self.id.clone(), fence: self.fence.clone(), start: Some(self.start), report: EndedReport::of(&report) }
    }
}

fn bucket() -> S3Publish {
    serde_json::from_value(serde_json::json!({ "bucket": "bucket" })).expect("a bucket is all that is needed")
}
