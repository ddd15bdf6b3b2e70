//! Reports on their way: one write or read of the node's object at a time, and what its answer changes (P4, P5, P6, P13).

use std::time::{Duration, Instant};

use crds::node::{NodeRuntime, ReportStage, WasmNode};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tracing::{debug, warn};

use super::{Ending, Term};
use crate::attempt::WASMTIME;
use crate::client::{CALL, CallError, chain, within};
use crate::decide::{Drain, Phase};
use crate::report::patch::operations;
use crate::report::write::{Unwritten, write};
use crate::report::{Batch, Mirror, NodeState, READY_REASON, Wanted, next, ready, wishes};
use crate::seen::Seen;

/// The one request that is under way.
pub(super) enum Doing {
    Nothing,
    Writing(Box<Batch>, BoxFuture<'static, Result<Box<WasmNode>, Unwritten>>),
    /// With what had been seen when it was sent.
    Reading(Seen, BoxFuture<'static, Result<Option<Box<WasmNode>>, CallError>>),
}

/// What came of it.
pub(super) enum Told {
    Wrote(Box<Batch>, Result<Box<WasmNode>, Unwritten>),
    Read(Seen, Result<Option<Box<WasmNode>>, CallError>),
}

/// Before a read after an answer that said nothing; twice as long each time, up to about five seconds. The Lease ends it.
const PAUSE: Duration = Duration::from_millis(300);
const LONGER: u32 = 4;

impl Doing {
    /// Waits for the answer; for ever, where nothing is under way.
    pub(super) async fn finish(&mut self) -> Told {
        match self {
            Self::Nothing => std::future::pending().await,
            Self::Writing(batch, answer) => {
                let answer = answer.await;
                Told::Wrote(std::mem::take(batch), answer)
            }
            Self::Reading(seen, answer) => {
                let answer = answer.await;
                Told::Read(seen.clone(), answer)
            }
        }
    }
}

impl Term<'_> {
    /// Begins the next request, where there is one to make and none is under way.
    pub(super) fn tell(&mut self, now: Instant) {
        if !matches!(self.doing, Doing::Nothing) {
            return;
        }
        let (api, node) = (self.api.clone(), self.agent.config.node_name.clone());
        if self.doubted || self.sequence > self.mirror.sequence {
            // A doubt that comes while the answer is on its way is not settled by that answer.
            self.doubted = false;
            let read = async move { within(CALL, api.get_opt(&node)).await.map(|found| found.map(Box::new)) };
            self.doing = Doing::Reading(self.seen.clone(), read.boxed());
            return;
        }
        let (state, agent) = (self.state(), &self.agent.config.pod_uid);
        let wanted = Wanted { agent, reports: wishes(&self.attempts, now), node: state };
        if let Some(batch) = next(&self.mirror, &wanted, &mut self.refusals, &mut self.removing, now) {
            let operations = operations(&self.mirror, agent, &batch);
            self.agent.metrics.batch(batch.reports.len());
            let written = async move { write(&api, &node, operations).await.map(Box::new) };
            self.doing = Doing::Writing(Box::new(batch), written.boxed());
        }
    }

    /// An answer has come.
    pub(super) fn told(&mut self, told: Told) -> Option<Ending> {
        self.doing = Doing::Nothing;
        match told {
            Told::Wrote(batch, answer) => self.wrote(&batch, answer),
            Told::Read(seen, answer) => return self.read(&seen, answer),
        }
        None
    }

    fn wrote(&mut self, batch: &Batch, answer: Result<Box<WasmNode>, Unwritten>) {
        let metrics = &self.agent.metrics;
        match answer {
            Ok(node) => {
                metrics.wrote("WasmNode/status", "written");
                self.refusals.accepted(batch);
                let (mirror, kept) = Mirror::after(&node, batch);
                if !kept {
                    warn!("the API server keeps a part only of this node's status; apply the CRDs of this version");
                }
                self.mirror = mirror;
                self.saw(*node);
                self.mark_told();
                self.agent.health.set_ready(true);
            }
            // P5: compute anew from what is there.
            Err(Unwritten::FailedTest) => {
                metrics.wrote("WasmNode/status", "failed test");
                self.doubted = true;
            }
            Err(Unwritten::Gone) => self.doubted = true,
            Err(Unwritten::Refused { why }) => {
                metrics.wrote("WasmNode/status", "refused");
                warn!(why, reports = batch.reports.len(), "the API server refused a status write");
                self.refusals.refused(batch, Instant::now());
            }
            Err(Unwritten::Unknown { why }) => {
                metrics.wrote("WasmNode/status", "unknown");
                self.doubt_later(&format!("a status write has no answer: {why}"));
            }
        }
    }

    fn read(&mut self, seen: &Seen, answer: Result<Option<Box<WasmNode>>, CallError>) -> Option<Ending> {
        match answer {
            Err(error) => {
                self.doubt_later(&format!("this node's WasmNode cannot be read: {}", chain(&error)));
                None
            }
            Ok(None) => Some(self.vanished()),
            Ok(Some(node)) if node.metadata.uid.as_deref() != Some(&self.mirror.uid) => Some(self.vanished()),
            // P15: asked after something newer was seen.
            Ok(Some(node)) if seen.is_older(&node.metadata) => Some(Ending::Restored),
            Ok(Some(node)) => {
                let mirror = Mirror::of(&node);
                let ours = &self.agent.config.pod_uid;
                if self.mirror.agent == *ours && mirror.agent != *ours {
                    return Some(Ending::Replaced);
                }
                debug!(sequence = mirror.sequence, "read this node's WasmNode");
                self.mirror = mirror;
                self.unanswered = 0;
                self.saw(*node);
                self.mark_told();
                None
            }
        }
    }

    /// Reads again after a pause; until then nothing is written.
    fn doubt_later(&mut self, why: &str) {
        if self.unanswered == 0 {
            warn!(why, "trying again until the Lease lapses");
        }
        let pause = PAUSE * (1 << self.unanswered.min(LONGER));
        self.unanswered = self.unanswered.saturating_add(1);
        let (api, node) = (self.api.clone(), self.agent.config.node_name.clone());
        let read = async move {
            tokio::time::sleep(pause).await;
            within(CALL, api.get_opt(&node)).await.map(|found| found.map(Box::new))
        };
        self.doing = Doing::Reading(self.seen.clone(), read.boxed());
    }

    /// The ended reports that are on the server while their entries are in the spec: whoever removes the entry has seen them.
    fn mark_told(&mut self) {
        for (id, attempt) in &mut self.attempts {
            let is_there = self.mirror.reports.get(id).is_some_and(|mark| mark.fence == attempt.fence && mark.stage == ReportStage::Ended);
            let has_entry = self.entries.get(id).is_some_and(|entry| entry.fence == attempt.fence);
            attempt.told |= is_there && has_entry && attempt.report().is_some();
        }
    }

    /// P14: the endings go into the next object, for a leader that remembers them; what runs is killed before there is one.
    fn vanished(&mut self) -> Ending {
        let mut unseen = std::mem::take(&mut self.attempts);
        unseen.retain(|_, attempt| attempt.report().is_some());
        for attempt in unseen.values_mut() {
            attempt.told = false;
        }
        Ending::Vanished { unseen }
    }

    /// What status should say of the node.
    fn state(&self) -> NodeState {
        let unwalled = self.means.runner.sandbox().err();
        let (reason, message) = match (self.drain, &unwalled) {
            (Drain::Waiting | Drain::Over, _) => ("Draining", "the agent was told to stop"),
            (Drain::No, Some(failure)) => (failure.reason.name(), failure.message.as_str()),
            (Drain::No, None) if !self.agent.journal.is_writable() => {
                ("JournalFailed", "the node's disk does not take the agent's journal")
            }
            (Drain::No, None) => (READY_REASON, "the agent takes work"),
        };
        let running = self.attempts.values().filter(|attempt| matches!(attempt.phase, Phase::Running { .. })).count();
        NodeState {
            running: i32::try_from(running).unwrap_or(i32::MAX),
            public_key: self.agent.key.public().to_owned(),
            ready: Some(ready(reason, message, self.mirror.node.ready.as_ref(), Timestamp::now())),
            allocatable: Some(self.allocatable()),
            runtime: Some(NodeRuntime {
                agent: env!("CARGO_PKG_VERSION").to_owned(),
                wasmtime: WASMTIME.to_owned(),
                wasi: vec!["Preview1".to_owned(), "Preview2".to_owned()],
            }),
        }
    }
}
