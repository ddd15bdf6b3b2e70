//! What this agent says in its `WasmNode`'s status: what is there, what should be, and the next write between the two. Pure, with the
//! time passed in; `report::write` sends.
//!
//! P6: at most one write is in flight, and the next takes all that has gathered.

pub mod patch;
mod refusals;
pub(crate) mod write;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crds::node::{AssignmentReport, Line as _, NodeResources, NodeRuntime, ReportStage, WasmNode};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::decide::{Attempt, Attempts, Phase, SHORT};

pub use self::refusals::Refusals;

/// What the server has, as far as is known. Every write tests what it is made of (P4).
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    pub uid: String,
    pub agent: String,
    pub sequence: i64,
    pub reports: BTreeMap<String, Mark>,
    pub node: NodeState,
}

/// One report as the server has it: a fence is reported once at each stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub fence: String,
    pub stage: ReportStage,
}

/// What status says of the node itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    pub running: i32,
    pub public_key: String,
    pub ready: Option<Condition>,
    pub allocatable: Option<NodeResources>,
    pub runtime: Option<NodeRuntime>,
}

/// What status should say.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    pub agent: &'a str,
    pub reports: BTreeMap<&'a str, Wish<'a>>,
    pub node: NodeState,
}

/// A report that should be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish<'a> {
    Running { fence: &'a str, start: Timestamp },
    Ended(&'a AssignmentReport),
}

/// One write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    pub reports: Vec<(String, AssignmentReport)>,
    pub remove: Vec<String>,
    /// The node's state, where any of it changed.
    pub node: Option<NodeState>,
}

/// P6: most reports and removals of one write.
const MOST_REPORTS: usize = 128;
/// P6: most bytes of reports in one write; one alone may have more.
const MOST_BYTES: usize = 32 << 10;
/// Most bytes of files for ConfigMaps that the object holds at once, in base64: the API server takes objects of some 1.5 MiB. What is more
/// waits until the operator has taken others back.
const MOST_FILES_BYTES: usize = 512 << 10;
/// Removals alone wait until there are so many, or for so long.
const COMPANY: usize = 32;
const WAIT_FOR_COMPANY: Duration = Duration::from_millis(500);

/// The reports that attempts make now.
pub fn wishes(attempts: &Attempts, now: Instant) -> BTreeMap<&str, Wish<'_>> {
    attempts.iter().filter_map(|(id, attempt)| Some((id.as_str(), wish(attempt, now)?))).collect()
}

fn wish(attempt: &Attempt, now: Instant) -> Option<Wish<'_>> {
    match &attempt.phase {
        Phase::Ended { report, .. } => Some(Wish::Ended(report)),
        Phase::Running { since, start, .. } if now.saturating_duration_since(*since) >= SHORT => {
            Some(Wish::Running { fence: &attempt.fence, start: *start })
        }
        Phase::Running { .. } | Phase::Waiting { .. } | Phase::Reading => None,
    }
}

/// The next write; `None`: there is nothing to write now. `removing` is since when removals alone have waited; `until` how long they
/// go on waiting.
pub fn next(mirror: &Mirror, wanted: &Wanted<'_>, refusals: &mut Refusals, removing: &mut Option<Instant>, now: Instant) -> Option<Batch> {
    if refusals.pauses(now) {
        return None;
    }
    if refusals.wants_probe() {
        return Some(Batch::default());
    }
    let differs = |(id, wish): &(&&str, &Wish<'_>)| mirror.reports.get(**id).is_none_or(|mark| *mark != wish.mark());
    let changed: BTreeMap<&str, &Wish<'_>> = wanted.reports.iter().filter(differs).map(|(id, wish)| (*id, wish)).collect();
    let chosen = refusals.choose(with_room(changed, mirror, wanted), now);
    let reports = fitting(chosen, refusals);
    let gone = mirror.reports.keys().filter(|id| !wanted.reports.contains_key(id.as_str()));
    let remove: Vec<String> = gone.take(MOST_REPORTS.saturating_sub(reports.len())).cloned().collect();
    let takes_over = mirror.agent != wanted.agent;
    let node = (takes_over || !mirror.node.says_the_same(&wanted.node)).then(|| wanted.node.clone());
    if remove.is_empty() {
        *removing = None;
    } else if reports.is_empty() && node.is_none() && remove.len() < COMPANY {
        let since = removing.get_or_insert(now);
        if now.saturating_duration_since(*since) < WAIT_FOR_COMPANY {
            return None;
        }
    }
    if reports.is_empty() && remove.is_empty() && node.is_none() {
        return None;
    }
    *removing = None;
    // The number of what runs changes with every attempt: it rides along and causes no write.
    let node = node.or_else(|| (mirror.node.running != wanted.node.running).then(|| wanted.node.clone()));
    Some(Batch { reports, remove, node })
}

/// Those whose files for ConfigMaps fit beside those that are there.
fn with_room<'a, 'b>(changed: BTreeMap<&'a str, &'b Wish<'b>>, mirror: &Mirror, wanted: &Wanted<'_>) -> BTreeMap<&'a str, &'b Wish<'b>> {
    let is_there = |(id, wish): &(&&str, &Wish<'_>)| mirror.reports.get(**id).is_some_and(|mark| *mark == wish.mark());
    let mut bytes: usize = wanted.reports.iter().filter(is_there).map(|(_, wish)| wish.files_bytes()).sum();
    let mut fits = |wish: &Wish<'_>| {
        let more = wish.files_bytes();
        let fits = more == 0 || bytes + more <= MOST_FILES_BYTES;
        bytes += if fits { more } else { 0 };
        fits
    };
    changed.into_iter().filter(|(_, wish)| fits(wish)).collect()
}

/// When removals that wait for company stop waiting.
pub fn removals_due(removing: Option<Instant>) -> Option<Instant> {
    removing.map(|since| since + WAIT_FOR_COMPANY)
}

/// As many as fit into one write, at least one.
fn fitting(chosen: BTreeMap<&str, &Wish<'_>>, refusals: &Refusals) -> Vec<(String, AssignmentReport)> {
    let (mut reports, mut bytes) = (Vec::new(), 0);
    for (id, wish) in chosen.into_iter().take(MOST_REPORTS) {
        let report = refusals.as_it_goes(wish.report());
        let length = report.line().len();
        if bytes + length > MOST_BYTES && !reports.is_empty() {
            break;
        }
        bytes += length;
        reports.push((id.to_owned(), report));
    }
    reports
}

// === impl Mirror ===

impl Mirror {
    pub fn of(node: &WasmNode) -> Self {
        let status = node.status.clone().unwrap_or_default();
        let mark = |report: AssignmentReport| Mark { fence: report.fence, stage: report.stage };
        Self {
            uid: node.metadata.uid.clone().unwrap_or_default(),
            agent: status.agent,
            sequence: status.sequence,
            reports: status.reports.into_iter().map(|(id, report)| (id, mark(report))).collect(),
            node: NodeState {
                running: status.running.unwrap_or(0),
                public_key: status.public_key,
                ready: status.conditions.into_iter().find(|condition| condition.type_ == crds::condition::READY),
                allocatable: status.allocatable,
                runtime: status.runtime,
            },
        }
    }

    /// What the server has after a write, and whether it kept all that was written of the node itself. What it dropped, since its definition
    /// of the kind is older than this agent, counts as there: it would be written again and again.
    pub fn after(node: &WasmNode, batch: &Batch) -> (Self, bool) {
        let mut mirror = Self::of(node);
        let dropped = batch.node.as_ref().filter(|written| !mirror.node.says_the_same(written));
        let kept = dropped.is_none();
        if let Some(written) = dropped {
            mirror.node = written.clone();
        }
        (mirror, kept)
    }
}

// === impl NodeState ===

impl NodeState {
    /// But for the number of what runs, and for the time of a condition that has not changed.
    fn says_the_same(&self, other: &Self) -> bool {
        let said = |state: &Self| {
            let ready = state.ready.as_ref().map(|ready| (ready.status.clone(), ready.reason.clone(), ready.message.clone()));
            (ready, state.allocatable.clone(), state.runtime.clone(), state.public_key.clone())
        };
        said(self) == said(other)
    }
}

/// The Ready condition, with the time of its last change.
pub fn ready(reason: &str, message: &str, before: Option<&Condition>, now: Timestamp) -> Condition {
    let status = if reason == READY_REASON { "True" } else { "False" };
    let since = before.filter(|before| before.status == status).map_or(Time(now), |before| before.last_transition_time.clone());
    Condition {
        type_: crds::condition::READY.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since,
        observed_generation: None,
    }
}

/// Reason of a node that takes work.
pub const READY_REASON: &str = "AgentReady";

// === impl Wish ===

impl Wish<'_> {
    fn mark(&self) -> Mark {
        match self {
            Self::Running { fence, .. } => Mark { fence: (*fence).to_owned(), stage: ReportStage::Running },
            Self::Ended(report) => Mark { fence: report.fence.clone(), stage: ReportStage::Ended },
        }
    }

    /// Of its files for ConfigMaps, in base64.
    fn files_bytes(&self) -> usize {
        let Self::Ended(report) = self else { return 0 };
        let files = report.ended.iter().flat_map(|ended| &ended.config_maps);
        files.map(|files| files.bytes().div_ceil(3) * 4).sum()
    }

    fn report(&self) -> AssignmentReport {
        match self {
            Self::Running { fence, start } => {
                AssignmentReport { fence: (*fence).to_owned(), stage: ReportStage::Running, start_time: Some(Time(*start)), ended: None }
            }
            Self::Ended(report) => AssignmentReport::clone(report),
        }
    }
}

#[cfg(test)]
mod tests;
