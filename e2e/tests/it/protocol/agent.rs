//! One agent process around the real core: the Lease, the first read, and one term after the other. As `node_agent::agent`.
//!
//! `lease` acquires and renews, `term` holds what is known between holding the Lease and losing it, `tell` writes reports. The journal is
//! the node's, and the guests are the world's.

mod lease;
mod tell;
mod term;

use std::sync::Arc;

use node_agent::decide::{Attempts, Drain};
use serde_json::{Value, json};

pub(crate) use self::lease::KILL;
use self::lease::{Holding, Leasing};
use self::tell::Telling;
use self::term::Term;
use super::api::{Answer, Change, Key, Kind, Request};
use super::clock::{Clock, Millis};
use super::guest::{Ended, Node};
use super::network::{Life, Outbox, Watch};
use super::tasks::Tasks;
use super::without::Without;

/// Between terms, and between tries of what failed.
const BETWEEN_TERMS: Millis = 200;
const AGAIN: Millis = 1000;
/// How long a server that fails is asked for a job.
const PATIENCE: Millis = 20_000;

/// What an answer is waited for with.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Leasing(Leasing),
    FirstRead,
    Create,
    Telling(Telling),
    ReadJob { id: String, fence: String, until: Millis },
    Listing,
}

/// One process: a pod on a node.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) node: Arc<str>,
    /// The pod's UID.
    pub(crate) pod: Arc<str>,
    pub(crate) life: Life,
    pub(crate) clock: Clock,
    without: Without,
    /// Counts terms of all processes of this pod: guests belong to one.
    pub(crate) terms: u32,
    pub(crate) holding: Holding,
    pub(crate) term: Option<Term>,
    unseen: Attempts,
    pub(crate) watch: Watch,
    tasks: Tasks<Task>,
    look_at: Millis,
    pub(crate) drain: Drain,
}

/// Why a term ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Lapsed,
    Taken,
    Restored,
    Vanished,
    Replaced,
    Drained,
}

/// What a step of an agent works with besides itself.
pub(crate) struct Around<'a> {
    pub(crate) now: Millis,
    pub(crate) node: &'a mut Node,
    pub(crate) out: &'a mut Outbox,
}

// === impl Agent ===

impl Agent {
    pub(crate) fn new(node: &str, pod: &str, clock: Clock, without: Without) -> Self {
        Self {
            node: node.into(),
            pod: pod.into(),
            life: Life::Down,
            clock,
            without,
            terms: 0,
            holding: Holding::default(),
            term: None,
            unseen: Attempts::new(),
            watch: Watch::Broken,
            tasks: Tasks::default(),
            look_at: Millis::MAX,
            drain: Drain::No,
        }
    }

    pub(crate) fn start(&mut self, out: &mut Outbox) {
        let (node, pod, clock, without) = (self.node.clone(), self.pod.clone(), self.clock, self.without);
        let (terms, tasks) = (self.terms + 1, self.tasks.renewed());
        *self = Self { terms, tasks, life: Life::Up, ..Self::new(&node, &pod, clock, without) };
        self.acquire(None, out);
    }

    pub(crate) fn kill(&mut self) {
        self.life = Life::Down;
        self.term = None;
        self.holding = Holding::default();
        self.tasks.clear();
    }

    fn ticks(&self, now: Millis) -> Millis {
        self.clock.ticks(now)
    }

    /// Everything of a term is dropped, as by a new process (P12, P14, P15). Its guests are killed.
    fn end_term(&mut self, ending: Ending, around: &mut Around<'_>) {
        around.node.kill_guests(&self.pod);
        self.tasks.clear();
        self.watch = Watch::Broken;
        let term = self.term.take();
        if ending == Ending::Vanished {
            self.unseen = term.map(Term::unseen).unwrap_or_default();
        }
        self.holding = Holding::default();
        self.terms += 1;
        if ending == Ending::Drained {
            self.give_up_lease(around.out);
        } else {
            self.tasks.sleep(Task::Leasing(Leasing::Looking { known: None }), around.now + BETWEEN_TERMS);
        }
    }

    pub(crate) fn answered(&mut self, task: u32, answer: Answer, around: &mut Around<'_>) {
        match self.tasks.answered(task) {
            Some(Task::Leasing(leasing)) => self.lease_on(leasing, &answer, around),
            Some(Task::FirstRead | Task::Create) => self.first_read(&answer, around),
            Some(Task::Telling(telling)) => self.told(telling, answer, around),
            Some(Task::ReadJob { id, fence, until }) => self.job_read(id, fence, until, &answer, around),
            Some(Task::Listing) => self.listed(answer),
            None => {}
        }
        self.go_round(around);
    }

    fn read_first(&mut self, out: &mut Outbox) {
        let key = Key::node(&self.node);
        self.tasks.ask(Task::FirstRead, Request::Get(key), out);
    }

    /// P12, P14: what the first read found, or the empty object that was created just now.
    fn first_read(&mut self, answer: &Answer, around: &mut Around<'_>) {
        match answer {
            Answer::Object(object) => {
                let unseen = std::mem::take(&mut self.unseen);
                self.term = Some(Term::new(self, object, unseen, around));
                self.watch = Watch::Broken;
            }
            Answer::Failed(status) if status.code == 404 => {
                let empty = json!({ "metadata": { "name": &*self.node }, "spec": {} });
                self.tasks.ask(Task::Create, Request::Create(Kind::Node, empty), around.out);
            }
            _ => self.tasks.sleep(Task::FirstRead, around.now + AGAIN),
        }
    }

    pub(crate) fn begin_watch(&mut self, out: &mut Outbox) {
        self.watch = Watch::Listing;
        self.tasks.ask(Task::Listing, Request::List(Kind::Node), out);
    }

    /// A watch of one object by its name begins with a list of it.
    fn listed(&mut self, answer: Answer) {
        let Answer::List { items, revision } = answer else {
            self.watch = Watch::Broken;
            return;
        };
        self.watch = Watch::At(revision);
        let own = items.into_iter().find(|item| item["metadata"]["name"] == *self.node);
        self.observe(own.as_deref());
    }

    pub(crate) fn see(&mut self, change: &Change, around: &mut Around<'_>) {
        self.watch = Watch::At(change.revision);
        self.observe(change.after.as_deref());
        self.go_round(around);
    }

    fn observe(&mut self, object: Option<&Value>) {
        if let Some(term) = &mut self.term {
            term.observe(object);
        }
    }

    pub(crate) fn next_wake(&self) -> Millis {
        self.tasks.next_wake().min(self.look_at).min(self.next_renewal())
    }

    pub(crate) fn wake(&mut self, around: &mut Around<'_>) {
        for task in self.tasks.due(around.now) {
            match self.tasks.woken(task) {
                Some(Task::Leasing(leasing)) => self.lease_again(leasing, around.out),
                Some(Task::FirstRead | Task::Create) => self.read_first(around.out),
                Some(Task::Telling(telling)) => self.tell_again(telling, around.out),
                Some(Task::ReadJob { id, fence, until }) => self.read_job(id, fence, until, around.out),
                Some(Task::Listing) | None => {}
            }
        }
        self.renew(around);
        self.go_round(around);
    }

    /// A guest of this agent has come to its end.
    pub(crate) fn guest_ended(&mut self, ended: Ended, around: &mut Around<'_>) {
        if let Some(term) = self.term.as_mut() {
            term.done(ended, around.node);
        }
        self.go_round(around);
    }

    /// SIGTERM.
    pub(crate) fn begin_to_drain(&mut self, around: &mut Around<'_>) {
        self.drain = Drain::Over;
        if self.term.is_none() {
            self.end_term(Ending::Drained, around);
        }
        self.go_round(around);
    }
}
