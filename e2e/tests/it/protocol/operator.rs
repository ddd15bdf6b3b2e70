//! One operator process around the real core: observes, decides, carries out. As `operator::controller`, without a network of its own.
//!
//! `leading` takes and keeps the lead, `asking` carries out actions: both go on answer by answer, so that anything may happen in between.

mod asking;
mod leading;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crds::names::OPERATOR_LEASE;
use operator::action::Action;
use operator::decide::{decide, next_look};
use operator::observe::{Job, LeaseSeen, NodeObject};
use operator::state::{Event, Now, Settings, State};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::asking::Asking;
use self::leading::{Adoption, Leading};
use super::api::{Answer, Change, Key, Kind, Request};
use super::bend::{self, Known};
use super::clock::{Clock, Millis};
use super::network::{Life, Outbox, Watch};
use super::tasks::Tasks;
use super::without::{Rule, Without};

/// As the operator's flags have it by default.
const LOST_AFTER: Duration = Duration::from_secs(30);
const BRAKE_FOR: Duration = Duration::from_mins(10);
/// Shorter, so that random schedules come to it.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// Nothing is decided before these are in view.
const NEEDED: [Kind; 3] = [Kind::Job, Kind::Node, Kind::Lease];

/// What an answer is waited for with.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Leading(Leading),
    Adopting(Adoption),
    Asking(Box<Asking>),
    Listing(Kind),
}

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    /// Of this process; the next one has another.
    pub(crate) identity: Arc<str>,
    pub(crate) starts: u32,
    pub(crate) life: Life,
    pub(crate) clock: Clock,
    without: Without,
    pub(crate) epoch: i64,
    /// The true time at which the last renewal that was acknowledged was sent.
    pub(crate) renewed: Millis,
    renew_at: Millis,
    renewing: bool,
    pub(crate) state: Option<State>,
    pub(crate) watches: BTreeMap<Kind, Watch>,
    listed: BTreeSet<Kind>,
    pub(crate) begun: bool,
    tasks: Tasks<Task>,
    /// Something was seen since the last decision.
    pub(crate) unsettled: bool,
    look_at: Millis,
    /// Random numbers for fences.
    pub(crate) draws: u64,
    known: Known,
}

// === impl Operator ===

impl Operator {
    pub(crate) fn new(number: usize, clock: Clock, without: Without) -> Self {
        Self {
            identity: format!("operator-{number}-0").into(),
            starts: 0,
            life: Life::Down,
            clock,
            without,
            epoch: 0,
            renewed: 0,
            renew_at: 0,
            renewing: false,
            state: None,
            watches: BTreeMap::new(),
            listed: BTreeSet::new(),
            begun: false,
            tasks: Tasks::default(),
            unsettled: false,
            look_at: Millis::MAX,
            draws: 0,
            known: Known::default(),
        }
    }

    /// A new process: it knows nothing.
    pub(crate) fn start(&mut self, number: usize, out: &mut Outbox) {
        let (clock, without, starts, tasks, draws) = (self.clock, self.without, self.starts + 1, self.tasks.renewed(), self.draws);
        *self = Self { starts, tasks, draws, life: Life::Up, ..Self::new(number, clock, without) };
        self.identity = format!("operator-{number}-{starts}").into();
        self.tasks.ask(Task::Leading(Leading::Looking { known: None }), Request::Get(Key::lease(OPERATOR_LEASE)), out);
    }

    pub(crate) fn kill(&mut self) {
        self.life = Life::Down;
        self.state = None;
        self.tasks.clear();
        self.watches.clear();
    }

    /// Whether it holds the lead, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        self.state.is_some()
    }

    pub(crate) fn now(&self, now: Millis) -> Now {
        Now { wall: self.clock.wall(now), mono: self.clock.mono(now) }
    }

    /// An answer has come to one of its tasks.
    pub(crate) fn answered(&mut self, task: u32, answer: Answer, now: Millis, out: &mut Outbox) {
        match self.tasks.answered(task) {
            Some(Task::Leading(leading)) => self.lead_on(leading, answer, now, out),
            Some(Task::Adopting(adoption)) => self.adopt_on(adoption, answer, now, out),
            Some(Task::Asking(asking)) => self.ask_on(*asking, &answer, now, out),
            Some(Task::Listing(kind)) => self.list(kind, answer, now),
            None => {}
        }
    }

    /// When something is to be done although nothing happens.
    pub(crate) fn next_wake(&self) -> Millis {
        let renewal = if self.leads() { self.next_renewal() } else { Millis::MAX };
        self.tasks.next_wake().min(renewal).min(self.look_at)
    }

    /// Does what has become due. Whether it is to decide.
    pub(crate) fn wake(&mut self, now: Millis, out: &mut Outbox) {
        for task in self.tasks.due(now) {
            match self.tasks.woken(task) {
                Some(Task::Leading(leading)) => self.look_again(leading, out),
                Some(Task::Adopting(adoption)) => self.adopt_again(adoption, out),
                Some(Task::Asking(asking)) => self.ask_again(*asking, out),
                Some(Task::Listing(_)) | None => {}
            }
        }
        if self.leads() && now >= self.next_renewal() {
            self.renew(now, out);
        }
        if now >= self.look_at {
            (self.unsettled, self.look_at) = (true, Millis::MAX);
        }
    }

    /// Begins what is not watched.
    pub(crate) fn begin_watch(&mut self, kind: Kind, now: Millis, out: &mut Outbox) {
        self.watches.insert(kind, Watch::Listing);
        match kind {
            Kind::Job => self.observe(Event::JobsListing { namespace: None }, now),
            Kind::Node => self.observe(Event::NodesListing, now),
            Kind::Lease | Kind::KubeNode => {}
        }
        self.tasks.ask(Task::Listing(kind), Request::List(kind), out);
    }

    fn list(&mut self, kind: Kind, answer: Answer, now: Millis) {
        let Answer::List { items, revision } = answer else {
            self.watches.insert(kind, Watch::Broken);
            return;
        };
        let names = || items.iter().map(|item| name(item)).filter(|name| **name != *OPERATOR_LEASE).collect();
        let listed = match kind {
            Kind::Job => Event::JobsListed { namespace: None, uids: items.iter().map(|item| text(item, "uid")).collect() },
            Kind::Node => Event::NodesListed { names: names() },
            Kind::Lease => Event::LeasesListed { nodes: names() },
            Kind::KubeNode => Event::KubeNodesListed { names: names() },
        };
        for item in &items {
            self.see_object(kind, item, now);
        }
        self.observe(listed, now);
        self.watches.insert(kind, Watch::At(revision));
        self.listed.insert(kind);
        if !self.begun && NEEDED.iter().all(|kind| self.listed.contains(kind)) {
            self.begun = true;
            if self.without.keeps(Rule::P14Leader)
                && let Some(state) = &mut self.state
            {
                state.begin();
            }
        }
    }

    /// An event of a watch.
    pub(crate) fn see(&mut self, change: &Change, now: Millis) {
        self.watches.insert(change.key.kind, Watch::At(change.revision));
        if let Some(object) = &change.after {
            return self.see_object(change.key.kind, object, now);
        }
        let node = change.key.name.clone();
        let event = match change.key.kind {
            Kind::Job => Event::JobGone { uid: change.before.as_ref().map(|job| text(job, "uid")).unwrap_or_default() },
            Kind::Node => Event::NodeGone { name: node },
            Kind::Lease => Event::LeaseGone { node },
            Kind::KubeNode => Event::KubeNodeGone { name: node },
        };
        self.observe(event, now);
    }

    fn see_object(&mut self, kind: Kind, object: &Value, now: Millis) {
        let event = match kind {
            Kind::Job => job(object).map(|job| Event::Job(Box::new(job))),
            Kind::Node => node(object).map(|(name, object)| Event::Node { name, object: Box::new(object) }),
            Kind::Lease if name(object).as_ref() == OPERATOR_LEASE => None,
            Kind::KubeNode => Some(Event::KubeNode { name: name(object) }),
            Kind::Lease => lease(object).map(|lease| Event::Lease { node: name(object), lease }),
        };
        if let Some(event) = event {
            self.observe(event, now);
        }
    }

    fn observe(&mut self, event: Event, now: Millis) {
        let at = self.now(now);
        if let Some(state) = &mut self.state {
            let (event, besides) = bend::event(self.without, &mut self.known, event);
            state.observe(event, at);
            if let Some(besides) = besides {
                state.observe(besides, at);
            }
            self.unsettled = true;
        }
    }

    /// Decides, once everything is in view.
    ///
    /// # Errors
    /// A second decision on the same state asks for something.
    pub(crate) fn decide(&mut self, now: Millis, out: &mut Outbox) -> Result<(), String> {
        self.unsettled = false;
        let at = self.now(now);
        let Some(state) = self.state.as_mut().filter(|_| self.begun) else { return Ok(()) };
        let actions = decide(state, at);
        let again = decide(state, at);
        let wait = next_look(state, at);
        // For metrics, of which there are none.
        drop(state.take_phases());
        // The core looks at least once a second; what it waits for is a millisecond at least.
        self.look_at = now + Millis::try_from(wait.as_millis()).unwrap_or(1000).max(1);
        if !again.is_empty() && !matches!(actions[..], [Action::StartAgain { .. }]) {
            return Err(format!("a second decision on an unchanged state asks for {again:?}"));
        }
        for action in actions {
            self.act(action, now, out);
        }
        Ok(())
    }

    /// A fence, unlike every other.
    fn fence(&mut self, id: &str) -> String {
        if self.without.lacks(Rule::P1Fences) {
            return format!("of-{}", id.chars().rev().take(29).collect::<String>());
        }
        self.draws += 1;
        format!("{}-{}", self.identity, self.draws)
    }
}

fn settings(epoch: i64, without: Without) -> Settings {
    let lost_after = if without.lacks(Rule::P10Time) { LOST_AFTER / 3 } else { LOST_AFTER };
    let brake_for = if without.lacks(Rule::P16Brake) { BRAKE_FOR * 1000 } else { BRAKE_FOR };
    Settings { epoch, renew_before: Duration::from_mins(20), lost_after, brake_for, gone_after: GONE_AFTER }
}

pub(crate) fn typed<T: DeserializeOwned>(object: &Value) -> T {
    T::deserialize(object).expect("the server holds what the definitions say")
}

fn job(object: &Value) -> Option<Job> {
    Job::observe(&typed(object)).ok()
}

fn node(object: &Value) -> Option<(Arc<str>, NodeObject)> {
    Some((name(object), NodeObject::observe(&typed(object)).ok()?))
}

fn lease(object: &Value) -> Option<LeaseSeen> {
    LeaseSeen::observe(&typed(object))
}

fn name(object: &Value) -> Arc<str> {
    text(object, "name")
}

fn text(object: &Value, field: &str) -> Arc<str> {
    object["metadata"][field].as_str().unwrap_or_default().into()
}
