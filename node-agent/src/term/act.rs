//! Decisions carried out: attempts begun, admitted, ended; and what they say of themselves. Decides nothing.

use std::sync::Arc;
use std::time::Instant;

use crds::node::{AssignmentReport, EndedReport, ReportStage};
use crds::reason::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use runner::task::Observer;
use tokio::sync::watch;
use tokio::task::{Id, JoinError};
use tracing::{debug, error, info};

use super::{Handle, Term};
use crate::attempt::{Asks, Order, carry_out};
use crate::decide::{Action, Attempt, Phase, Situation, Why, decide};
use crate::journal::Past;
use crate::seal::Grants;

impl Term<'_> {
    /// Does what is to be done, until nothing is.
    pub(super) fn act(&mut self, now: Instant) {
        loop {
            let situation = Situation {
                entries: &self.entries,
                attempts: &self.attempts,
                slots: usize::from(self.agent.config.slots),
                memory_bytes: self.agent.config.memory_bytes,
                drain: self.drain,
            };
            let actions = decide(now, &situation, |fence| self.agent.journal.has_ended(fence));
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.carry_out(action, now);
            }
        }
        let running = self.attempts.values().filter(|attempt| matches!(attempt.phase, Phase::Running { .. }));
        self.agent.metrics.running(running.count());
    }

    fn carry_out(&mut self, action: Action, now: Instant) {
        debug!(?action);
        match action {
            Action::Begin { id, likely } => self.begin(id, likely),
            Action::Answer { id } => self.answer(id),
            Action::Decline { id, why } => {
                if let Some(entry) = self.entries.get(&id) {
                    let attempt = Attempt { fence: entry.fence.clone(), phase: Phase::Reading, ending: Some(why), told: false };
                    self.attempts.insert(id.clone(), attempt);
                    self.ended(&id, unstarted(why));
                }
            }
            Action::Admit { id } => {
                let Some(Attempt { phase, .. }) = self.attempts.get_mut(&id) else { return };
                let Phase::Waiting { memory_bytes, .. } = *phase else { return };
                *phase = Phase::Running { memory_bytes, since: now, start: Timestamp::now() };
                if let Some(admit) = self.handles.get_mut(&id).and_then(|handle| handle.admit.take()) {
                    // Where nobody listens the task has ended, and says so.
                    let _ = admit.send(());
                }
            }
            Action::End { id, why } => self.end(&id, why),
            Action::Forget { id } => {
                self.attempts.remove(&id);
            }
        }
    }

    fn begin(&mut self, id: String, likely: bool) {
        let Some(entry) = self.entries.get(&id).cloned() else { return };
        let fence = entry.fence.clone();
        let observer = Arc::new(Observer::default());
        let sealed_key = crds::node::sealed_key(&entry.job.uid, entry.job.run);
        let (told, sealed) = watch::channel(self.sealed.get(&sealed_key).cloned());
        let node = (&*self.agent.config.node_name, &*self.mirror.uid);
        let grants = Grants::new(self.agent.key.clone(), node, &entry.job, sealed);
        let order = Order { id: id.clone(), entry, observer: observer.clone(), grants, likely, asking: self.asking.clone() };
        let (means, of_task) = (Arc::clone(&self.means), id.clone());
        let abort = self.tasks.spawn(async move { (of_task, carry_out(&means, order).await) });
        self.names.insert(abort.id(), (id.clone(), fence.clone()));
        self.handles.insert(id.clone(), Handle { observer, admit: None, abort, sealed: (sealed_key, told) });
        self.attempts.insert(id, Attempt { fence, phase: Phase::Reading, ending: None, told: false });
    }

    /// P12: a fence that has ended is answered with its old report.
    fn answer(&mut self, id: String) {
        let Some(entry) = self.entries.get(&id) else { return };
        let report = match self.agent.journal.past(&entry.fence) {
            Past::Ended(report) => report,
            // The disk lost the report, not that there was one.
            Past::Started | Past::NotStarted | Past::Unknown => {
                let ended = EndedReport::without_guest(Reason::AgentRestarted, "it ended before; its report is lost", Timestamp::now());
                Box::new(AssignmentReport { fence: entry.fence.clone(), stage: ReportStage::Ended, start_time: None, ended: Some(ended) })
            }
        };
        info!(id, "returned after it had ended: answering with its old report");
        let phase = Phase::Ended { report, at: Instant::now() };
        self.attempts.insert(id, Attempt { fence: entry.fence.clone(), phase, ending: None, told: false });
    }

    fn end(&mut self, id: &str, why: Why) {
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        attempt.ending = Some(why);
        let has_begun = attempt.has_begun();
        let Some(handle) = self.handles.get(id) else { return };
        if has_begun {
            handle.observer.cancel();
        } else {
            // It has not been told that it may begin: it never does.
            handle.abort.abort();
            self.ended(id, unstarted(why));
        }
    }

    /// An attempt asks for room.
    pub(super) fn asked(&mut self, asks: Asks) {
        let Asks { id, fence, memory_bytes, admit } = asks;
        let Some(attempt) = self.attempts.get_mut(&id).filter(|attempt| attempt.fence == fence) else { return };
        if attempt.phase == Phase::Reading {
            self.turns += 1;
            attempt.phase = Phase::Waiting { memory_bytes, turn: self.turns };
            if let Some(handle) = self.handles.get_mut(&id) {
                handle.admit = Some(admit);
            }
        }
    }

    /// A task has ended, whatever became of it.
    pub(super) fn done(&mut self, done: Result<(Id, (String, AssignmentReport)), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        let Some((id, fence)) = self.names.remove(&task) else { return };
        // P10: it may have been killed by the lapse. The next term finds it, and knows that it had started.
        if self.deadline.passed() {
            return;
        }
        if self.attempts.get(&id).is_none_or(|attempt| attempt.fence != fence || attempt.report().is_some()) {
            // It was told to end before it had begun, and has been reported.
            return;
        }
        let ended = match done {
            Ok((_, (_, report))) => Ended { start: report.start_time, ended: report.ended },
            Err(error) => {
                error!(%error, id, "an attempt's task failed");
                let ended = EndedReport::without_guest(Reason::WorkerKilled, "the node's agent failed at it", Timestamp::now());
                Ended { start: None, ended: Some(ended) }
            }
        };
        self.ended(&id, ended);
    }

    /// The one place where an attempt becomes ended: in memory, in the journal, in what is counted.
    fn ended(&mut self, id: &str, ended: Ended) {
        self.handles.remove(id);
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        let mut ended = ended;
        if let (Some(Why::Drained), Some(end)) = (attempt.ending, &mut ended.ended)
            && end.reason == Reason::Cancelled.name()
        {
            Reason::Disrupted.name().clone_into(&mut end.reason);
            "the node was drained while it ran".clone_into(&mut end.message);
        }
        let report =
            AssignmentReport { fence: attempt.fence.clone(), stage: ReportStage::Ended, start_time: ended.start, ended: ended.ended };
        let reason = report.ended.as_ref().map_or("", |ended| ended.reason.as_str());
        debug!(id, reason, "ended");
        self.agent.metrics.ended(reason);
        self.agent.journal.ended(id, &report);
        attempt.phase = Phase::Ended { report: Box::new(report), at: Instant::now() };
    }
}

/// How an attempt ended, without its fence.
struct Ended {
    start: Option<Time>,
    ended: Option<EndedReport>,
}

fn unstarted(why: Why) -> Ended {
    let (reason, message) = why.unstarted();
    Ended { start: None, ended: Some(EndedReport::without_guest(reason, message, Timestamp::now())) }
}
