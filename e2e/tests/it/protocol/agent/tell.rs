//! Reports on their way: one write or read of the node's object at a time. As `node_agent::term::tell`.

use crds::node::{NodeResources, NodeRuntime, ReportStage, WasmNode};
use crds::resources::Quantity;
use node_agent::decide::{Drain, Phase};
use node_agent::report::patch::operations;
use node_agent::report::{Batch, Mirror, NodeState, READY_REASON, Wanted, next, ready, wishes};

use super::super::api::{Answer, Key, Part, Request};
use super::super::clock::Millis;
use super::super::network::Outbox;
use super::super::operator::typed;
use super::super::without::Rule;
use super::term::{MEMORY_BYTES, SLOTS, Term, seen};
use super::{Agent, Around, Ending, Task};

/// The one request that is under way.
#[derive(Clone, Debug)]
pub(crate) enum Telling {
    Writing(Box<Batch>),
    /// With what had been seen when it was sent.
    Reading((String, u64)),
}

/// Before a read after an answer that said nothing.
const PAUSE: Millis = 300;

impl Agent {
    /// Begins the next request, where there is one to make and none is under way.
    pub(super) fn tell(&mut self, around: &mut Around<'_>) {
        let now = self.clock.instant(around.now);
        let state = self.state(around.now);
        let (key, pod) = (Key::node(&self.node), self.pod.clone());
        let Some(term) = self.term.as_mut().filter(|term| !term.telling) else { return };
        let is_foreign = term.sequence > term.mirror.sequence && self.without.keeps(Rule::P5Foreign);
        if term.doubted || is_foreign {
            (term.doubted, term.telling) = (false, true);
            let seen = term.seen.clone();
            return self.tasks.ask(Task::Telling(Telling::Reading(seen)), Request::Get(key), around.out);
        }
        let mut wanted = Wanted { agent: &pod, reports: wishes(&term.attempts, now), node: state };
        if self.without.lacks(Rule::P7Kept) {
            wanted.reports.retain(|id, _| term.attempts.get(*id).is_none_or(|attempt| !attempt.told));
        }
        if let Some(batch) = next(&term.mirror, &wanted, &mut term.refusals, &mut term.removing, now) {
            let mut operations = operations(&term.mirror, &pod, &batch);
            if self.without.lacks(Rule::P4Agent) {
                operations.retain(|operation| operation["op"] != "test");
            }
            term.telling = true;
            self.tasks.ask(
                Task::Telling(Telling::Writing(Box::new(batch))),
                Request::Patch { key, part: Part::Status, operations },
                around.out,
            );
        } else if self.drain != Drain::No && self.is_drained() {
            self.end_term(Ending::Drained, around);
        }
    }

    /// Whether everything has ended and the server knows it.
    fn is_drained(&self) -> bool {
        let Some(term) = &self.term else { return true };
        term.attempts.values().all(|attempt| attempt.report().is_some()) && !term.doubted && !term.telling && term.removing.is_none()
    }

    pub(super) fn tell_again(&mut self, telling: Telling, out: &mut Outbox) {
        let key = Key::node(&self.node);
        self.tasks.ask(Task::Telling(telling), Request::Get(key), out);
    }

    /// An answer has come.
    pub(super) fn told(&mut self, telling: Telling, answer: Answer, around: &mut Around<'_>) {
        let now = self.clock.instant(around.now);
        let without = self.without;
        let Some(term) = &mut self.term else { return };
        term.telling = false;
        let (batch, known) = match telling {
            Telling::Writing(batch) => (Some(batch), term.seen.clone()),
            Telling::Reading(known) => (None, known),
        };
        match (batch, answer) {
            (Some(batch), Answer::Object(object)) => {
                let node: WasmNode = typed(&object);
                term.refusals.accepted(&batch);
                term.mirror = Mirror::of(&node);
                term.saw(node);
                term.mark_told();
            }
            (Some(batch), Answer::Failed(status)) => {
                let has_causes = status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
                if status.code == 422 && has_causes && without.keeps(Rule::P13Agent) {
                    term.refusals.refused(&batch, now);
                } else {
                    term.doubted = true;
                }
            }
            (None, Answer::Object(object)) => {
                let node: WasmNode = typed(&object);
                if let Some(ending) = term.read(node, &known, &self.pod) {
                    self.end_term(ending, around);
                }
            }
            (None, Answer::Failed(status)) if status.code == 404 => self.end_term(Ending::Vanished, around),
            // No answer: read, after a pause; until then nothing is written.
            (_, _) => {
                term.telling = true;
                let seen = term.seen.clone();
                self.tasks.sleep(Task::Telling(Telling::Reading(seen)), around.now + PAUSE);
            }
        }
    }

    /// What status should say of the node.
    fn state(&self, now: Millis) -> NodeState {
        let (reason, message) = match self.drain {
            Drain::Waiting | Drain::Over => ("Draining", "the agent was told to stop"),
            Drain::No => (READY_REASON, "the agent takes work"),
        };
        let attempts = self.term.iter().flat_map(|term| term.attempts.values());
        let running = attempts.filter(|attempt| matches!(attempt.phase, Phase::Running { .. })).count();
        let before = self.term.as_ref().and_then(|term| term.mirror.node.ready.as_ref());
        NodeState {
            running: i32::try_from(running).unwrap_or(i32::MAX),
            public_key: String::new(),
            ready: Some(ready(reason, message, before, self.clock.wall(now))),
            allocatable: Some(NodeResources {
                cpu: Quantity("4".to_owned()),
                memory: Quantity::of_bytes(MEMORY_BYTES),
                slots: i32::try_from(SLOTS).expect("a few"),
            }),
            runtime: Some(NodeRuntime { agent: "1".to_owned(), wasmtime: "1".to_owned(), wasi: vec!["Preview1".to_owned()] }),
        }
    }
}

impl Term {
    /// A live GET of an object that is there.
    fn read(&mut self, node: WasmNode, known: &(String, u64), pod: &str) -> Option<Ending> {
        let version = seen(&node);
        if version.0 != self.mirror.uid {
            return Some(Ending::Vanished);
        }
        // P15: asked after something newer was seen.
        if version.0 == known.0 && version.1 < known.1 {
            return Some(Ending::Restored);
        }
        let mirror = Mirror::of(&node);
        if self.mirror.agent == *pod && mirror.agent != *pod {
            return Some(Ending::Replaced);
        }
        self.mirror = mirror;
        self.saw(node);
        self.mark_told();
        None
    }

    /// The ended reports that are on the server while their entries are in the spec: whoever removes the entry has seen them.
    fn mark_told(&mut self) {
        for (id, attempt) in &mut self.attempts {
            let is_there = self.mirror.reports.get(id).is_some_and(|mark| mark.fence == attempt.fence && mark.stage == ReportStage::Ended);
            let has_entry = self.entries.get(id).is_some_and(|entry| entry.fence == attempt.fence);
            attempt.told |= is_there && has_entry && attempt.report().is_some();
        }
    }
}
