//! What is known between holding the Lease and losing it, and decisions carried out: as `node_agent::term` and `term::act`.

use std::collections::BTreeMap;

use crds::job::WasmJob;
use crds::node::{Assignment, AssignmentReport, EndedReport, ReportStage, WasmNode};
use crds::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use node_agent::decide::{Action, Attempt, Attempts, Past, Phase, Situation, Why, decide, found, next_look, why_not};
use node_agent::report::{Mirror, Refusals, removals_due};
use serde_json::Value;

use super::super::api::{Answer, Key, Request};
use super::super::clock::Millis;
use super::super::guest::{Ended, Guest, Node};
use super::super::network::Outbox;
use super::super::operator::typed;
use super::super::without::Rule;
use super::{AGAIN, Agent, Around, PATIENCE, Task};

/// Room of every node.
pub(crate) const SLOTS: usize = 32;
pub(crate) const MEMORY_BYTES: u64 = 8 << 30;

/// Everything of one term.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(super) entries: BTreeMap<String, Assignment>,
    /// Of the newest version that was seen: its UID and number.
    pub(super) seen: (String, u64),
    pub(super) attempts: Attempts,
    /// Jobs that were read for attempts that wait for room or run.
    jobs: BTreeMap<String, WasmJob>,
    turns: u64,
    pub(super) mirror: Mirror,
    /// Of status, in the newest version that was seen.
    pub(super) sequence: i64,
    pub(super) refusals: Refusals,
    pub(super) removing: Option<std::time::Instant>,
    pub(super) telling: bool,
    pub(super) doubted: bool,
}

// === impl Term ===

impl Term {
    /// Of the first read (P12).
    pub(super) fn new(agent: &Agent, first: &Value, unseen: Attempts, around: &mut Around<'_>) -> Self {
        let first: WasmNode = typed(first);
        let reports = first.status.as_ref().map(|status| status.reports.clone()).unwrap_or_default();
        let (now, at) = (agent.clock.instant(around.now), agent.clock.wall(around.now));
        let entries = first.spec.assignments.clone();
        let without = agent.without;
        let past = |fence: &str| match around.node.past(fence) {
            Past::Unknown if without.lacks(Rule::P12Journal) => Past::NotStarted,
            past => past,
        };
        let mut attempts = if without.lacks(Rule::P12FirstRead) { Attempts::new() } else { found(now, at, &entries, &reports, past) };
        for attempt in attempts.values() {
            if let Some(report) = attempt.report().filter(|report| !around.node.has_ended(&report.fence)) {
                around.node.journal_ended(report);
            }
        }
        around.node.journal_is_complete = true;
        for (id, attempt) in unseen {
            attempts.entry(id).or_insert(attempt);
        }
        Self {
            entries,
            seen: seen(&first),
            attempts,
            jobs: BTreeMap::new(),
            turns: 0,
            mirror: Mirror::of(&first),
            sequence: 0,
            refusals: Refusals::default(),
            removing: None,
            telling: false,
            doubted: false,
        }
    }

    /// P14: endings that nobody may have seen.
    pub(super) fn unseen(mut self) -> Attempts {
        self.attempts.retain(|_, attempt| attempt.report().is_some());
        self.attempts.values_mut().for_each(|attempt| attempt.told = false);
        self.attempts
    }

    pub(super) fn observe(&mut self, object: Option<&Value>) {
        match object.map(typed::<WasmNode>) {
            Some(node) if node.metadata.uid.as_deref() == Some(&*self.mirror.uid) => self.saw(node),
            _ => self.doubted = true,
        }
    }

    /// The object as it is or was: of a lower version, nothing is taken (P15).
    pub(super) fn saw(&mut self, node: WasmNode) {
        let version = seen(&node);
        if version.0 != self.seen.0 || version.1 > self.seen.1 {
            self.seen = version;
            self.entries = node.spec.assignments;
            self.sequence = node.status.map_or(0, |status| status.sequence);
        }
    }

    /// A guest has ended by itself or was ended.
    pub(super) fn done(&mut self, ended: Ended, node: &mut Node) {
        let Some(attempt) = self.attempts.get(&ended.id) else { return };
        if attempt.fence != *ended.fence || attempt.report().is_some() {
            return;
        }
        self.ended(&ended.id, ended.start, ended.report, node);
    }

    /// The one place where an attempt becomes ended.
    fn ended(&mut self, id: &str, start: Option<Timestamp>, ended: EndedReport, node: &mut Node) {
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        let mut ended = ended;
        if attempt.ending == Some(Why::Drained) && ended.reason == Reason::Cancelled.name() {
            Reason::Disrupted.name().clone_into(&mut ended.reason);
        }
        let start_time = start.map(Time);
        let report = AssignmentReport { fence: attempt.fence.clone(), stage: ReportStage::Ended, start_time, ended: Some(ended) };
        node.journal_ended(&report);
        attempt.phase = Phase::Ended { report: Box::new(report), at: node.instant };
    }
}

pub(super) fn seen(node: &WasmNode) -> (String, u64) {
    let version = node.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0);
    (node.metadata.uid.clone().unwrap_or_default(), version)
}

impl Agent {
    /// Does what is to be done and says what is to be said, until nothing is.
    pub(super) fn go_round(&mut self, around: &mut Around<'_>) {
        let now = self.clock.instant(around.now);
        around.node.instant = now;
        while let Some(term) = &self.term {
            let situation =
                Situation { entries: &term.entries, attempts: &term.attempts, slots: SLOTS, memory_bytes: MEMORY_BYTES, drain: self.drain };
            let keeps = self.without.keeps(Rule::P12Ended);
            let actions = decide(now, &situation, |fence| keeps && around.node.has_ended(fence));
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.carry_out(action, around);
            }
        }
        self.tell(around);
        self.look_at = self.next_look(around.now);
    }

    fn next_look(&self, now: Millis) -> Millis {
        let Some(term) = &self.term else { return Millis::MAX };
        let at = self.clock.instant(now);
        let looks = [next_look(at, &term.attempts), removals_due(term.removing), term.refusals.next_try()];
        looks.into_iter().flatten().map(|look| self.clock.when_instant(look).max(now + 1)).min().unwrap_or(Millis::MAX)
    }

    fn carry_out(&mut self, action: Action, around: &mut Around<'_>) {
        let Some(term) = &mut self.term else { return };
        match action {
            Action::Begin { id, .. } => {
                let Some(entry) = term.entries.get(&id) else { return };
                let fence = entry.fence.clone();
                let attempt = Attempt { fence: fence.clone(), phase: Phase::Reading, ending: None, told: false };
                term.attempts.insert(id.clone(), attempt);
                self.read_job(id, fence, around.now + PATIENCE, around.out);
            }
            Action::Answer { id } => {
                let Some(entry) = term.entries.get(&id) else { return };
                let Past::Ended(report) = around.node.past(&entry.fence) else { return };
                let phase = Phase::Ended { report, at: around.node.instant };
                term.attempts.insert(id, Attempt { fence: entry.fence.clone(), phase, ending: None, told: false });
            }
            Action::Decline { id, why } => {
                let Some(entry) = term.entries.get(&id) else { return };
                let attempt = Attempt { fence: entry.fence.clone(), phase: Phase::Reading, ending: Some(why), told: false };
                term.attempts.insert(id.clone(), attempt);
                let at = self.clock.wall(around.now);
                term.ended(&id, None, unstarted(why, at), around.node);
            }
            Action::Admit { id } => self.admit(&id, around),
            Action::End { id, why } => self.end(&id, why, around),
            Action::Forget { id } => {
                term.attempts.remove(&id);
            }
        }
    }

    pub(super) fn read_job(&mut self, id: String, fence: String, until: Millis, out: &mut Outbox) {
        let Some(entry) = self.term.as_ref().and_then(|term| term.entries.get(&id)).filter(|entry| entry.fence == fence) else { return };
        let key = Key::job(&entry.job.name);
        self.tasks.ask(Task::ReadJob { id, fence, until }, Request::Get(key), out);
    }

    /// P2: the job by one live GET, or `Refused`.
    pub(super) fn job_read(&mut self, id: String, fence: String, until: Millis, answer: &Answer, around: &mut Around<'_>) {
        let at = self.clock.wall(around.now);
        let Some(term) = &mut self.term else { return };
        let Some(attempt) = term.attempts.get_mut(&id).filter(|attempt| attempt.fence == fence && attempt.phase == Phase::Reading) else {
            return;
        };
        let Some(meant) = term.entries.get(&id).map(|entry| entry.job.clone()) else { return };
        let why = match answer {
            Answer::Object(object) => {
                let job: WasmJob = typed(object);
                let Some(why) = why_not(&meant, &job).filter(|_| self.without.keeps(Rule::P2Agent)) else {
                    term.turns += 1;
                    attempt.phase = Phase::Waiting { memory_bytes: 1 << 20, turn: term.turns };
                    term.jobs.insert(id, job);
                    return;
                };
                why
            }
            Answer::Failed(status) if status.code == 404 => "the job is gone".to_owned(),
            _ if around.now >= until => "the job cannot be read".to_owned(),
            _ => return self.tasks.sleep(Task::ReadJob { id, fence, until }, around.now + AGAIN / 2),
        };
        term.ended(&id, Some(at), EndedReport::without_guest(Reason::Refused, &why, at), around.node);
    }

    /// The journal says so before the guest starts (P12).
    fn admit(&mut self, id: &str, around: &mut Around<'_>) {
        let start = self.clock.wall(around.now);
        let has_lapsed = self.clock.ticks(around.now) >= self.holding.deadline && self.without.keeps(Rule::P11Watchdog);
        let Some(term) = &mut self.term else { return };
        let (Some(attempt), Some(entry), Some(job)) = (term.attempts.get_mut(id), term.entries.get(id), term.jobs.remove(id)) else {
            return;
        };
        let Phase::Waiting { memory_bytes, .. } = attempt.phase else { return };
        attempt.phase = Phase::Running { memory_bytes, since: around.node.instant, start };
        around.node.journal_started(&attempt.fence);
        if has_lapsed {
            // The zygote starts nothing after the deadline (P11).
            let ended = EndedReport::without_guest(Reason::WorkerKilled, "the lease has lapsed", start);
            return term.ended(id, Some(start), ended, around.node);
        }
        let guest = Guest::new(id, entry, &job, (&self.pod, &self.node), start, around.now);
        around.node.guests.push(guest);
    }

    fn end(&mut self, id: &str, why: Why, around: &mut Around<'_>) {
        let at = self.clock.wall(around.now);
        let Some(term) = &mut self.term else { return };
        let Some(attempt) = term.attempts.get_mut(id) else { return };
        attempt.ending = Some(why);
        let ended = if attempt.has_begun() {
            around.node.kill_guest(&attempt.fence.clone());
            EndedReport::without_guest(Reason::Cancelled, "ended on request", at)
        } else {
            unstarted(why, at)
        };
        term.ended(id, Some(at), ended, around.node);
    }
}

/// The ending of an attempt whose guest never started.
fn unstarted(why: Why, at: Timestamp) -> EndedReport {
    let (reason, message) = why.unstarted();
    EndedReport::without_guest(reason, message, at)
}
