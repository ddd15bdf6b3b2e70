//! What to do about the entries of this node's `WasmNode`: pure, with the time passed in. Nothing here waits, reads or writes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crds::node::{Assignment, AssignmentReport, EndedReport, ReportStage};
use crds::reason::Reason;
use jiff::Timestamp;

pub use crate::attempt::why_not;
pub use crate::journal::Past;

/// One entry that this agent has taken notice of, by its id in [`Attempts`].
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    pub fence: String,
    pub phase: Phase,
    /// It was told to end.
    pub ending: Option<Why>,
    /// Its last report is on the API server.
    pub told: bool,
}

/// Attempts by the ids of their entries.
pub type Attempts = BTreeMap<String, Attempt>;

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Its job is being read.
    Reading,
    /// It waits for room. `turn` is the order in which they asked.
    Waiting { memory_bytes: u64, turn: u64 },
    /// It has room, and its guest may have started.
    Running { memory_bytes: u64, since: Instant, start: Timestamp },
    /// It has ended, at this time.
    Ended { report: Box<AssignmentReport>, at: Instant },
}

/// Why an attempt is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its entry says so.
    Cancelled,
    /// Its entry is gone or is another one: nobody waits for it.
    Vanished,
    /// The node is being drained.
    Drained,
}

/// Whether the node gives its work back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drain {
    #[default]
    No,
    /// Nothing new is taken; what runs may end by itself.
    Waiting,
    /// What runs is ended.
    Over,
}

/// What a decision is made of.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub entries: &'a BTreeMap<String, Assignment>,
    pub attempts: &'a Attempts,
    pub slots: usize,
    pub memory_bytes: u64,
    pub drain: Drain,
}

/// One thing to do, by the id of its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read its job. `likely`: there is room for it now.
    Begin { id: String, likely: bool },
    /// It ended before: report that again (P12).
    Answer { id: String },
    /// It has not begun and will not: report it with this reason.
    Decline { id: String, why: Why },
    /// Start it.
    Admit { id: String },
    /// End it, wherever it stands.
    End { id: String, why: Why },
    /// Its report is of no use any more.
    Forget { id: String },
}

/// P14: how long a report without an entry is kept, for a leader that remembers it.
const ORPHANED: Duration = Duration::from_mins(10);

/// What outlives this is reported as running (P6: nothing is written for what ends sooner).
pub const SHORT: Duration = Duration::from_secs(1);

/// What to do now. Once it is done and nothing else has happened, there is nothing to do. `has_ended` says whether a fence has ended.
pub fn decide(now: Instant, situation: &Situation<'_>, has_ended: impl Fn(&str) -> bool) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut room = Room::of(situation);
    for (id, entry) in situation.entries {
        match situation.attempts.get(id).filter(|attempt| attempt.fence == entry.fence || attempt.report().is_none()) {
            Some(attempt) if attempt.fence != entry.fence => actions.extend(attempt.end(id, Why::Vanished)),
            Some(attempt) if entry.cancel => actions.extend(attempt.end(id, Why::Cancelled)),
            Some(_) => {}
            // Before anything else: a fence that has ended never starts again (P12).
            None if has_ended(&entry.fence) => actions.push(Action::Answer { id: id.clone() }),
            None if entry.cancel => actions.push(Action::Decline { id: id.clone(), why: Why::Cancelled }),
            None if situation.drain != Drain::No => actions.push(Action::Decline { id: id.clone(), why: Why::Drained }),
            None => actions.push(Action::Begin { id: id.clone(), likely: room.likely() }),
        }
    }
    for (id, attempt) in situation.attempts.iter().filter(|(id, _)| !situation.entries.contains_key(*id)) {
        actions.extend(attempt.without_entry(id, now));
    }
    let ending: BTreeSet<String> = actions.iter().filter_map(Action::ends).collect();
    let going_on = situation.attempts.iter().filter(|(id, _)| !ending.contains(*id));
    match situation.drain {
        Drain::No => actions.extend(room.admit(going_on)),
        Drain::Waiting => {
            let not_begun = going_on.filter(|(_, attempt)| !attempt.has_begun());
            actions.extend(not_begun.filter_map(|(id, attempt)| attempt.end(id, Why::Drained)));
        }
        Drain::Over => actions.extend(going_on.filter_map(|(id, attempt)| attempt.end(id, Why::Drained))),
    }
    actions
}

/// P12: what the entries of the first read are to this agent. None of them is ever started. `reports` is what status says already.
pub fn found(
    now: Instant,
    at: Timestamp,
    entries: &BTreeMap<String, Assignment>,
    reports: &BTreeMap<String, AssignmentReport>,
    past: impl Fn(&str) -> Past,
) -> Attempts {
    let attempt = |(id, entry): (&String, &Assignment)| {
        let of_status = reports.get(id).filter(|report| report.fence == entry.fence && report.stage == ReportStage::Ended);
        let start_time = reports.get(id).filter(|report| report.fence == entry.fence).and_then(|report| report.start_time.clone());
        let lost = |reason, message| {
            let ended = Some(EndedReport::without_guest(reason, message, at));
            AssignmentReport { fence: entry.fence.clone(), stage: ReportStage::Ended, start_time, ended }
        };
        let report = match (of_status, past(&entry.fence)) {
            (Some(report), _) => report.clone(),
            (None, Past::Ended(report)) => *report,
            (None, Past::Started) => lost(Reason::AgentRestarted, "the node's agent was started anew while it ran"),
            (None, Past::Unknown) => lost(Reason::AgentRestarted, "the node's agent was started anew and does not know whether it ran"),
            (None, Past::NotStarted) => lost(Reason::Disrupted, "the node's agent was started anew before it ran"),
        };
        let phase = Phase::Ended { report: Box::new(report), at: now };
        (id.clone(), Attempt { fence: entry.fence.clone(), phase, ending: None, told: of_status.is_some() })
    };
    entries.iter().map(attempt).collect()
}

/// When something is to be done or reported although nothing happens: an attempt has outlived `SHORT`, a report was kept long enough.
pub fn next_look(now: Instant, attempts: &Attempts) -> Option<Instant> {
    let look = |attempt: &Attempt| match &attempt.phase {
        Phase::Running { since, .. } => Some(*since + SHORT),
        Phase::Ended { at, .. } => Some(*at + ORPHANED),
        Phase::Reading | Phase::Waiting { .. } => None,
    };
    attempts.values().filter_map(look).filter(|at| *at > now).min()
}

/// What is free.
struct Room {
    slots: usize,
    memory_bytes: u64,
    /// Slots that nobody who waits or reads is going to take.
    unclaimed: usize,
}

// === impl Room ===

impl Room {
    fn of(situation: &Situation<'_>) -> Self {
        let mut room = Self { slots: situation.slots, memory_bytes: situation.memory_bytes, unclaimed: situation.slots };
        for attempt in situation.attempts.values() {
            match &attempt.phase {
                Phase::Running { memory_bytes, .. } => {
                    room.slots = room.slots.saturating_sub(1);
                    room.memory_bytes = room.memory_bytes.saturating_sub(*memory_bytes);
                }
                Phase::Waiting { .. } | Phase::Reading => {}
                Phase::Ended { .. } => continue,
            }
            room.unclaimed = room.unclaimed.saturating_sub(1);
        }
        room
    }

    /// Whether one more would find a slot, and takes it.
    fn likely(&mut self) -> bool {
        let likely = self.unclaimed > 0;
        self.unclaimed = self.unclaimed.saturating_sub(1);
        likely
    }

    /// Those that wait, in their turn, as long as there is room: nobody overtakes one that needs more.
    fn admit<'a>(mut self, attempts: impl Iterator<Item = (&'a String, &'a Attempt)>) -> Vec<Action> {
        let mut waiting: Vec<_> = attempts
            .filter_map(|(id, attempt)| match attempt.phase {
                Phase::Waiting { memory_bytes, turn } if attempt.ending.is_none() => Some((turn, id, memory_bytes)),
                _ => None,
            })
            .collect();
        waiting.sort_unstable();
        let mut actions = Vec::new();
        for (_, id, memory_bytes) in waiting {
            if self.slots == 0 || memory_bytes > self.memory_bytes {
                break;
            }
            self.slots -= 1;
            self.memory_bytes -= memory_bytes;
            actions.push(Action::Admit { id: id.clone() });
        }
        actions
    }
}

// === impl Attempt ===

impl Attempt {
    /// Its last report.
    pub fn report(&self) -> Option<&AssignmentReport> {
        match &self.phase {
            Phase::Ended { report, .. } => Some(report),
            _ => None,
        }
    }

    /// Whether its guest may have started.
    pub fn has_begun(&self) -> bool {
        matches!(self.phase, Phase::Running { .. } | Phase::Ended { .. })
    }

    /// To be told to end, unless it has been or has ended.
    fn end(&self, id: &str, why: Why) -> Option<Action> {
        (self.ending.is_none() && self.report().is_none()).then(|| Action::End { id: id.to_owned(), why })
    }

    /// P7: a report stays until its entry is gone. P14: one that the entry's writer cannot have seen stays longer.
    fn without_entry(&self, id: &str, now: Instant) -> Option<Action> {
        match &self.phase {
            Phase::Ended { at, .. } if self.told || now >= *at + ORPHANED => Some(Action::Forget { id: id.to_owned() }),
            Phase::Ended { .. } => None,
            _ => self.end(id, Why::Vanished),
        }
    }
}

// === impl Action ===

impl Action {
    /// The entry that it ends.
    fn ends(&self) -> Option<String> {
        match self {
            Self::End { id, .. } => Some(id.clone()),
            Self::Begin { .. } | Self::Answer { .. } | Self::Decline { .. } | Self::Admit { .. } | Self::Forget { .. } => None,
        }
    }
}

// === impl Why ===

impl Why {
    /// The ending of an attempt whose guest never started.
    pub fn unstarted(self) -> (Reason, &'static str) {
        match self {
            Self::Cancelled => (Reason::Cancelled, "cancelled before it began"),
            Self::Vanished => (Reason::Cancelled, "its assignment was taken back before it began"),
            Self::Drained => (Reason::Disrupted, "the node is being drained"),
        }
    }
}

#[cfg(test)]
mod tests;
