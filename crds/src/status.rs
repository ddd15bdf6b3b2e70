//! `WasmJob.status`: what a reader of the object sees, and how it follows from a run.
//!
//! Bounded whatever a guest prints: at most 64 KiB as JSON. Conditions are [`crate::condition`]'s.

mod results;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{self, RunState};
use crate::digest::Digest;
use crate::reason::Reason;
use crate::report::{Durations, ModuleKind, ModuleReport, NetworkDenied, Report, StreamReport, Usage};
use crate::{rules, text};

pub use self::results::ResultStatus;
pub(crate) use self::results::results;

/// How the job stands. Written by the operator, or by `wasmjob run`, never by users.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[x_kube(validation = rules::run_grows())]
#[x_kube(validation = rules::end_is_final())]
#[serde(rename_all = "camelCase")]
pub struct WasmJobStatus {
    /// Generation of the spec that this status is of; -1 until a controller has seen the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of the run that this status is of, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Finished is always there: its reason is how the job stands or ended. Complete or Failed, when it has ended. Ready: True on success,
    /// False on failure, Unknown before. Reconciling (under way) and Stalled (needs you) only while they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "condition::list_schema")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that the run is of. Once it is there, what to run is not changed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_generation: Option<i64>,
    /// Hash of what the run runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub spec_hash: Option<String>,
    /// Fences of attempts whose ends are in this status and whose assignments have not been taken back yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 32)))]
    pub folded: Vec<String>,
    /// Tries so far of indexes that have not ended, and when they are tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub retries: Vec<RetryStatus>,
    /// When the run started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the run ended, however it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// From start to end, for people: 41ms, 3.2s, 2m5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration_text: Option<String>,
    /// Completions that are running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<i32>,
    /// Completions that have not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<i32>,
    /// Completions that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<i32>,
    /// Completions that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<i32>,
    /// Completions that succeeded, of those wanted, for people: 1/1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub completions_text: Option<String>,
    /// The module that ran. Absent until it has been fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleStatus>,
    /// What the guest returned and printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputStatus>,
    /// The outputs that hold files or were published, and where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub results: Vec<ResultStatus>,
    /// The attempts, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub attempts: Vec<AttemptStatus>,
    /// Optional inputs whose source had nothing there: the guest saw an empty directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)))]
    pub absent_inputs: Vec<String>,
    /// Calls by which the guest tried to reach the network. They were refused; guests have no network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub network_denied: Vec<NetworkDeniedStatus>,
}

/// Tries so far of some indexes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryStatus {
    /// The indexes, as ranges.
    #[schemars(length(max = 1024))]
    pub indexes: String,
    /// Failures that count against backoffLimit.
    #[serde(default)]
    pub failures: i32,
    /// Failures of fetching and publishing, which have a budget of their own.
    #[serde(default)]
    pub budgeted: i32,
    /// Attempts whose worker, agent or node was lost.
    #[serde(default)]
    pub lost: i32,
    /// Attempts that do not count.
    #[serde(default)]
    pub free: i32,
    /// Not tried again before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
}

/// The module that ran.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleStatus {
    /// SHA-256 of its bytes. Write it into spec.module.digest to run exactly this module again.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: i64,
    /// What it is: CoreModule (WASI preview 1) or Component (WASI preview 2).
    pub kind: ModuleKind,
}

/// What the guest returned and printed.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// The guest's own exit code; 134 trap, 137 memory, 124 timeout. Absent where no guest ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// End of what it printed on stdout, at most 4 KiB; control characters are written as \u{1b}.
    #[schemars(length(max = 4096))]
    pub stdout_tail: String,
    /// End of what it printed on stderr, at most 4 KiB; control characters are written as \u{1b}.
    #[schemars(length(max = 4096))]
    pub stderr_tail: String,
    /// It printed more than the two tails show.
    pub truncated: bool,
}

/// One attempt that ended.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptStatus {
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// Node that ran it. Absent on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,
    /// How it ended, in one word; each has a page in the documentation.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// How it ended and what to do about it, in a sentence. Absent on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// The guest's own exit code; 134 trap, 137 memory, 124 timeout. Absent where no guest ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// When it started.
    pub start_time: Time,
    /// When it ended.
    pub finish_time: Time,
    /// How long each phase took.
    pub durations: Durations,
    /// What the guest used.
    pub usage: Usage,
}

/// A call by which the guest tried to reach the network.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkDeniedStatus {
    /// Name of the import, such as sock_send.
    #[schemars(length(max = 128))]
    pub call: String,
    /// How often it was called.
    pub times: i64,
}

/// One run of a job, as seen by whoever writes the status.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// From 1.
    pub number: i64,
    /// Generation of the spec that it runs.
    pub generation: i64,
    pub state: RunState<'a>,
    /// The attempt whose report the state carries, and its node where there are nodes.
    pub attempt: i32,
    pub node_name: Option<&'a str>,
}

/// The longest tail of a stream in a status, in bytes.
const TAIL_BYTES: usize = 4096;
/// The longest message in a status, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 1024;
/// As many results and refused calls as a status lists; a spec has no more outputs.
pub(crate) const LISTED: usize = 16;
/// Most inputs of a spec.
const INPUTS: usize = 32;

// === impl WasmJobStatus ===

impl WasmJobStatus {
    /// The whole status of a job with one completion. `before` is the status that this one replaces, `now` the time of writing.
    ///
    /// # Guarantees
    /// At most 64 KiB as JSON, and valid for the schema, whatever the guest and the servers said. Equal arguments give an equal status; a
    /// condition that does not change keeps its `lastTransitionTime`.
    pub fn of_run(run: &Run<'_>, now: Timestamp, before: Option<&Self>) -> Self {
        let known = before.map_or(&[][..], |status| &status.conditions);
        let unfinished = Self {
            observed_generation: Some(run.generation),
            run: Some(run.number),
            conditions: condition::of_run(&run.state, run.generation, now, known),
            completions_text: Some("0/1".to_owned()),
            ..Self::default()
        };
        let attempts = |report: &Report| {
            let earlier = before.map_or(&[][..], |status| &status.attempts);
            let of_others = earlier.iter().filter(|attempt| attempt.attempt != run.attempt);
            std::iter::once(attempt(report, run)).chain(of_others.cloned()).take(LISTED).collect()
        };
        // A run that was tried before has started when its first attempt did.
        let of_this_run = before.filter(|status| status.run == Some(run.number));
        let started = of_this_run.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        match run.state {
            RunState::Pending { .. } | RunState::Unschedulable { .. } | RunState::Suspended { .. } => {
                Self { pending: Some(1), ..unfinished }
            }
            RunState::Running { since, .. } => Self { start_time: Some(Time(started.unwrap_or(since))), active: Some(1), ..unfinished },
            RunState::Ended(report) => {
                let ended = unfinished.over(report.outcome.reason, started.or(Some(report.start_time)), report.finish_time);
                Self { attempts: attempts(report), ..ended.showing(report, run.node_name) }
            }
            RunState::Stopped { reason, since, at, last, .. } => {
                let stopped = unfinished.over(reason, started.or(since).or(last.map(|report| report.start_time)), at);
                match last {
                    Some(report) => Self { attempts: attempts(report), ..stopped.showing(report, run.node_name) },
                    None => Self { attempts: before.map(|status| status.attempts.clone()).unwrap_or_default(), ..stopped },
                }
            }
        }
    }

    /// A failed attempt put before the earlier ones, the rest as it is.
    #[must_use]
    pub fn with_attempt(mut self, report: &Report, run: &Run<'_>) -> Self {
        self.attempts.retain(|attempt| attempt.attempt != run.attempt);
        self.attempts.insert(0, attempt(report, run));
        self.attempts.truncate(LISTED);
        self
    }

    /// The smallest status that says the same: what is left of one that the API server refused.
    #[must_use]
    pub fn shrunk(mut self) -> Self {
        let exit_code = self.output.as_ref().and_then(|output| output.exit_code);
        self.output = exit_code.map(|code| OutputStatus { exit_code: Some(code), truncated: true, ..OutputStatus::default() });
        self.attempts.truncate(1);
        self.attempts.iter_mut().for_each(|attempt| attempt.message.clear());
        for result in &mut self.results {
            result.uri = None;
            result.more_uris.clear();
        }
        self.network_denied.clear();
        self
    }

    /// Whether the run has ended for good.
    pub fn is_finished(&self) -> bool {
        self.conditions.iter().any(|condition| condition.type_ == condition::FINISHED && condition.status == "True")
    }

    fn over(self, reason: Reason, start: Option<Timestamp>, end: Timestamp) -> Self {
        let succeeded = i32::from(reason == Reason::Completed);
        Self {
            start_time: start.map(Time),
            completion_time: Some(Time(end)),
            duration_text: start.map(|start| duration_text(start, end)),
            active: Some(0),
            succeeded: Some(succeeded),
            failed: Some(1 - succeeded),
            completions_text: Some(format!("{succeeded}/1")),
            ..self
        }
    }

    /// With what the attempt left on its node.
    fn showing(self, report: &Report, node_name: Option<&str>) -> Self {
        Self {
            module: report.module.as_ref().map(ModuleStatus::of),
            output: Some(output(report)),
            results: results(report, node_name),
            absent_inputs: absent_inputs(report),
            network_denied: report.network_denied.iter().take(LISTED).map(network_denied).collect(),
            ..self
        }
    }
}

// === impl ModuleStatus ===

impl ModuleStatus {
    pub(crate) fn of(module: &ModuleReport) -> Self {
        Self { digest: module.digest, size_bytes: signed(module.size_bytes), kind: module.kind }
    }
}

pub(crate) fn output(report: &Report) -> OutputStatus {
    let (stdout_tail, stdout_cut) = tail(&report.stdout);
    let (stderr_tail, stderr_cut) = tail(&report.stderr);
    OutputStatus { exit_code: report.outcome.exit_code, stdout_tail, stderr_tail, truncated: stdout_cut || stderr_cut }
}

fn tail(stream: &StreamReport) -> (String, bool) {
    let (tail, cut) = text::tail(&stream.tail, TAIL_BYTES);
    (tail, cut || stream.truncated || stream.bytes > TAIL_BYTES as u64)
}

fn attempt(report: &Report, run: &Run<'_>) -> AttemptStatus {
    AttemptStatus {
        attempt: run.attempt,
        node_name: run.node_name.map(str::to_owned),
        reason: report.outcome.reason.name().to_owned(),
        message: text::head(&report.outcome.message, MESSAGE_BYTES),
        exit_code: report.outcome.exit_code,
        start_time: Time(report.start_time),
        finish_time: Time(report.finish_time),
        durations: report.durations,
        usage: report.usage,
    }
}

/// As many names as a spec has inputs; what is no input's name is nobody's.
pub(crate) fn absent_inputs(report: &Report) -> Vec<String> {
    let is_name = |name: &&String| name.len() <= 63 && name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    report.absent_inputs.iter().filter(is_name).take(INPUTS).cloned().collect()
}

pub(crate) fn network_denied(denied: &NetworkDenied) -> NetworkDeniedStatus {
    NetworkDeniedStatus { call: text::head(&denied.call, 128), times: signed(denied.times) }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The time between the two, to about two digits, as kubectl prints ages: `41ms`, `3.2s`, `2m5s`, `1h2m`, `3d4h`.
pub fn duration_text(start: Timestamp, end: Timestamp) -> String {
    let milliseconds = end.as_millisecond().saturating_sub(start.as_millisecond()).max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..=59 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60..=3599 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
pub(crate) mod tests;
