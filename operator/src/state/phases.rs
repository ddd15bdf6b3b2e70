//! How long jobs are in each of the phases that the operator sees, on this process's own clock. Decides nothing, and nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Now;

/// A phase of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// From when it could be placed until a node with room was found.
    Queue,
    /// From then until its assignment was written.
    Assign,
    /// From when the end of its attempt was read in a node's status until it was written into its own.
    Report,
}

/// Phases that have begun, and those that have ended and were not taken yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases {
    queued: BTreeMap<Arc<str>, Duration>,
    placed: BTreeMap<Arc<str>, Duration>,
    reported: BTreeMap<Arc<str>, Reported>,
    ended: Vec<(Phase, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Reported {
    since: Duration,
    /// What is being written of the job says it.
    folding: bool,
}

/// So many are kept where nobody takes them.
const MOST: usize = 4096;

// === impl Phase ===

impl Phase {
    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Assign => "assign",
            Self::Report => "report",
        }
    }
}

// === impl Phases ===

impl Phases {
    /// Those that have ended since.
    pub(crate) fn take(&mut self) -> Vec<(Phase, Duration)> {
        std::mem::take(&mut self.ended)
    }

    /// The job could be placed; perhaps it could already.
    pub(crate) fn queued(&mut self, uid: &Arc<str>, now: Now) {
        self.queued.entry(uid.clone()).or_insert(now.mono);
    }

    /// The job cannot be placed any more.
    pub(crate) fn left(&mut self, uid: &str) {
        self.queued.remove(uid);
    }

    /// A node with room was found.
    pub(crate) fn placed(&mut self, uid: &Arc<str>, now: Now) {
        let since = self.queued.remove(uid);
        self.end(Phase::Queue, since, now);
        self.placed.insert(uid.clone(), now.mono);
    }

    /// The job's assignment was written, or was not.
    pub(crate) fn assigned(&mut self, uid: &str, is_written: bool, now: Now) {
        let since = self.placed.remove(uid);
        self.end(Phase::Assign, since.filter(|_| is_written), now);
    }

    /// The end of the job's attempt was read.
    pub(crate) fn reported(&mut self, uid: &Arc<str>, now: Now) {
        self.reported.entry(uid.clone()).or_insert(Reported { since: now.mono, folding: false });
    }

    /// A status that says so, if there is anything to say, is being written.
    pub(crate) fn folding(&mut self, uid: &str) {
        if let Some(reported) = self.reported.get_mut(uid) {
            reported.folding = true;
        }
    }

    /// That status was written, or was not.
    pub(crate) fn folded(&mut self, uid: &str, is_written: bool, now: Now) {
        let Some(reported) = self.reported.get_mut(uid).filter(|reported| reported.folding) else { return };
        reported.folding = false;
        let since = reported.since;
        if is_written {
            self.reported.remove(uid);
            self.end(Phase::Report, Some(since), now);
        }
    }

    /// The job is gone.
    pub(crate) fn forget(&mut self, uid: &str) {
        self.queued.remove(uid);
        self.placed.remove(uid);
        self.reported.remove(uid);
    }

    fn end(&mut self, phase: Phase, since: Option<Duration>, now: Now) {
        if let Some(since) = since.filter(|_| self.ended.len() < MOST) {
            self.ended.push((phase, now.mono.saturating_sub(since)));
        }
    }
}
