//! Taking and keeping the lead, and taking over nodes, answer by answer: as `operator::leader` and `operator::apply::node::adopt`.

use std::sync::Arc;

use crds::names::{EPOCH_ANNOTATION, OPERATOR_LEASE};
use operator::observe::NodeObject;
use operator::patch::{self, Failed};
use operator::state::{Event, State};
use serde_json::{Value, json};

use super::super::api::{Answer, Key, Kind, Part, Request};
use super::super::clock::Millis;
use super::super::network::{Outbox, Watch};
use super::super::without::Rule;
use super::{Operator, Task, name, node, settings, typed};

/// As in `operator::leader`, in milliseconds.
const DURATION: Millis = 15_000;
const RENEW_EVERY: Millis = 3_000;
const LOOK_EVERY: Millis = 1_000;
const RENEW_WITHIN: Millis = 10_000;
/// Before a node whose patch did not hold is read again.
const LOOK_AGAIN: Millis = 500;
/// Two requests without an answer.
const UNANSWERED: Millis = 6_000;

/// A Lease's version, and since when it is the same.
type Known = Option<(String, Millis)>;

/// How far it has come.
#[derive(Clone, Debug)]
pub(crate) enum Leading {
    Looking { known: Known },
    Claiming,
    CountingEpochs { lease: Arc<Value> },
    WritingEpoch,
    ListingNodes,
    Confirming,
    RenewingLook { sent: Millis },
    Renewing { sent: Millis },
}

/// The adoption of one node; the rest are adopted after it, at the take-over.
#[derive(Clone, Debug)]
pub(crate) struct Adoption {
    node: Arc<str>,
    rest: Option<Vec<Arc<str>>>,
    step: Adopting,
}

#[derive(Clone, Debug)]
enum Adopting {
    Reading,
    Patching,
    Looking { object: Arc<Value> },
}

impl Operator {
    pub(super) fn lead_on(&mut self, leading: Leading, answer: Answer, now: Millis, out: &mut Outbox) {
        match (leading, answer) {
            (Leading::Looking { known }, Answer::Object(lease)) => self.claim(known, &lease, now, out),
            (Leading::Looking { .. }, Answer::Failed(status)) if status.code == 404 => {
                let lease = json!({ "metadata": { "name": OPERATOR_LEASE }, "spec": {} });
                self.tasks.ask(Task::Leading(Leading::Claiming), Request::Create(Kind::Lease, self.held(&lease, now)), out);
            }
            (Leading::Looking { known }, _) => self.tasks.sleep(Task::Leading(Leading::Looking { known }), now + LOOK_EVERY),
            (Leading::Claiming | Leading::WritingEpoch, Answer::Failed(_) | Answer::Silence | Answer::List { .. }) => {
                self.tasks.sleep(Task::Leading(Leading::Looking { known: None }), now + LOOK_EVERY);
            }
            (Leading::CountingEpochs { lease }, Answer::List { items, .. }) => self.write_epoch(&lease, &items, now, out),
            (Leading::Claiming, Answer::Object(lease)) | (Leading::CountingEpochs { lease }, _) => self.count_epochs(lease, out),
            (Leading::WritingEpoch, Answer::Object(lease)) => {
                self.epoch = epoch(&lease);
                (self.renewed, self.renew_at) = (now, now + RENEW_EVERY);
                self.state = Some(State::new(settings(self.epoch, self.without)));
                self.tasks.ask(Task::Leading(Leading::ListingNodes), Request::List(Kind::Node), out);
            }
            (Leading::ListingNodes, Answer::List { items, .. }) => self.adopt_rest(items.iter().map(|item| name(item)).collect(), out),
            (Leading::ListingNodes, _) => self.tasks.ask(Task::Leading(Leading::ListingNodes), Request::List(Kind::Node), out),
            (Leading::Confirming, Answer::Silence) => self.confirm(out),
            (Leading::Confirming, Answer::Object(lease)) if self.holds(&lease) => {
                self.watches = Kind::ALL.map(|kind| (kind, Watch::Broken)).into();
            }
            (Leading::Confirming, _) => out.over = Some("another leader holds the Lease".to_owned()),
            (Leading::RenewingLook { sent }, Answer::Object(lease)) => {
                if !self.holds(&lease) {
                    out.over = Some("another leader holds the Lease".to_owned());
                    return;
                }
                let request = Request::Replace(Key::lease(OPERATOR_LEASE), self.held(&lease, now));
                self.tasks.ask(Task::Leading(Leading::Renewing { sent }), request, out);
            }
            (Leading::Renewing { .. }, Answer::Failed(status)) if status.code == 409 => {
                out.over = Some("another leader holds the Lease".to_owned());
            }
            (Leading::Renewing { sent }, Answer::Object(_)) => {
                self.renewed = sent;
                (self.renewing, self.renew_at) = (false, now + RENEW_EVERY);
            }
            (Leading::RenewingLook { .. } | Leading::Renewing { .. }, _) => self.not_renewed(now, out),
        }
    }

    /// The Lease was read: takes it if it is free, or was not renewed for its duration by our own clock.
    fn claim(&mut self, known: Known, lease: &Value, now: Millis, out: &mut Outbox) {
        let version = lease["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let since = known.filter(|(seen, _)| *seen == version).map_or(now, |(_, since)| since);
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let free = holder.is_empty() || *holder == *self.identity || self.clock.ticks(now) - self.clock.ticks(since) >= DURATION;
        if free {
            let request = Request::Replace(Key::lease(OPERATOR_LEASE), self.held(lease, now));
            self.tasks.ask(Task::Leading(Leading::Claiming), request, out);
        } else {
            self.tasks.sleep(Task::Leading(Leading::Looking { known: Some((version, since)) }), now + LOOK_EVERY);
        }
    }

    fn write_epoch(&mut self, lease: &Value, nodes: &[Arc<Value>], now: Millis, out: &mut Outbox) {
        let of_nodes = nodes.iter().filter_map(|node| node["spec"]["epoch"].as_i64());
        let highest = of_nodes.chain([epoch(lease)]).max().unwrap_or(0);
        let next = if self.without.lacks(Rule::P8Epoch) { highest.max(1) } else { highest + 1 };
        let mut lease = self.held(lease, now);
        lease["metadata"]["annotations"][EPOCH_ANNOTATION] = next.to_string().into();
        self.tasks.ask(Task::Leading(Leading::WritingEpoch), Request::Replace(Key::lease(OPERATOR_LEASE), lease), out);
    }

    pub(super) fn look_again(&mut self, leading: Leading, out: &mut Outbox) {
        self.tasks.ask(Task::Leading(leading), Request::Get(Key::lease(OPERATOR_LEASE)), out);
    }

    /// The Lease as this process renews it.
    fn held(&self, lease: &Value, now: Millis) -> Value {
        let mut lease = lease.clone();
        lease["spec"]["holderIdentity"] = (*self.identity).into();
        lease["metadata"]["annotations"]["renewed"] = self.clock.ticks(now).to_string().into();
        lease
    }

    /// Whether the Lease names this process, with its epoch.
    pub(crate) fn holds(&self, lease: &Value) -> bool {
        lease["spec"]["holderIdentity"] == *self.identity && epoch(lease) == self.epoch
    }

    fn count_epochs(&mut self, lease: Arc<Value>, out: &mut Outbox) {
        self.tasks.ask(Task::Leading(Leading::CountingEpochs { lease }), Request::List(Kind::Node), out);
    }

    fn confirm(&mut self, out: &mut Outbox) {
        self.tasks.ask(Task::Leading(Leading::Confirming), Request::Get(Key::lease(OPERATOR_LEASE)), out);
    }

    /// The true time of the next renewal, or at which one that is under way has taken too long.
    pub(super) fn next_renewal(&self) -> Millis {
        if self.renewing { self.renew_at + UNANSWERED } else { self.renew_at }
    }

    pub(super) fn renew(&mut self, now: Millis, out: &mut Outbox) {
        if self.renewing {
            return self.not_renewed(now, out);
        }
        (self.renewing, self.renew_at) = (true, now);
        self.tasks.ask(Task::Leading(Leading::RenewingLook { sent: now }), Request::Get(Key::lease(OPERATOR_LEASE)), out);
    }

    /// A renewal that failed, or is not answered: once it has been too long, this process leads no more.
    fn not_renewed(&mut self, now: Millis, out: &mut Outbox) {
        (self.renewing, self.renew_at) = (false, now + RENEW_EVERY);
        if now - self.renewed > RENEW_WITHIN {
            out.over = Some("the Lease could not be renewed".to_owned());
        }
    }

    fn adopt_rest(&mut self, mut rest: Vec<Arc<str>>, out: &mut Outbox) {
        match rest.pop() {
            Some(node) => self.adopt(node, Some(rest), out),
            None => self.confirm(out),
        }
    }

    pub(super) fn adopt(&mut self, node: Arc<str>, rest: Option<Vec<Arc<str>>>, out: &mut Outbox) {
        let request = Request::Get(Key::node(&node));
        self.tasks.ask(Task::Adopting(Adoption { node, rest, step: Adopting::Reading }), request, out);
    }

    pub(super) fn adopt_on(&mut self, adoption: Adoption, answer: Answer, now: Millis, out: &mut Outbox) {
        let Adoption { node, rest, step } = adoption;
        let next = |step| Task::Adopting(Adoption { node: node.clone(), rest: rest.clone(), step });
        match (step, answer) {
            (Adopting::Reading, Answer::Object(found)) => {
                let found: crds::node::WasmNode = typed(&found);
                if found.spec.epoch > self.epoch {
                    out.over = Some("another leader wrote the node".to_owned());
                    return;
                }
                let operations = patch::adoption(&found, self.epoch);
                self.tasks.ask(next(Adopting::Patching), Request::Patch { key: Key::node(&node), part: Part::Spec, operations }, out);
            }
            (Adopting::Reading, Answer::Failed(_)) => self.set_aside(node, rest, now, out),
            (Adopting::Reading, _) => self.adopt(node, rest, out),
            (Adopting::Patching, Answer::Object(object)) if self.without.lacks(Rule::P8NewNode) => {
                self.adopted(node, rest, &object, now, out);
            }
            (Adopting::Patching, Answer::Object(object)) | (Adopting::Looking { object }, Answer::Silence) => {
                self.tasks.ask(next(Adopting::Looking { object }), Request::Get(Key::lease(OPERATOR_LEASE)), out);
            }
            // Somebody wrote it meanwhile, or nobody knows: until it is known, the leader before us may still write there.
            (Adopting::Patching, answer)
                if rest.is_some()
                    && self.without.keeps(Rule::P8Settled)
                    && (is_failed_test(&answer) || matches!(answer, Answer::Silence)) =>
            {
                self.tasks.sleep(next(Adopting::Reading), now + LOOK_AGAIN);
            }
            (Adopting::Patching, _) => self.set_aside(node, rest, now, out),
            (Adopting::Looking { object }, Answer::Object(lease)) if self.holds(&lease) => self.adopted(node, rest, &object, now, out),
            (Adopting::Looking { .. }, _) => out.over = Some("another leader holds the Lease".to_owned()),
        }
    }

    fn adopted(&mut self, name: Arc<str>, rest: Option<Vec<Arc<str>>>, object: &Value, now: Millis, out: &mut Outbox) {
        if let Some((_, object)) = node(object) {
            let object: Box<NodeObject> = Box::new(object);
            let event = match rest {
                Some(_) => Event::Node { name, object },
                None => Event::Adopted { node: name, object: Some(object) },
            };
            self.observe(event, now);
        }
        self.adopted_one(rest, out);
    }

    /// P8: one that is not there, or cannot be patched, stops nothing.
    fn set_aside(&mut self, node: Arc<str>, rest: Option<Vec<Arc<str>>>, now: Millis, out: &mut Outbox) {
        if rest.is_none() {
            self.observe(Event::Adopted { node, object: None }, now);
        }
        self.adopted_one(rest, out);
    }

    pub(super) fn adopt_again(&mut self, adoption: Adoption, out: &mut Outbox) {
        self.adopt(adoption.node, adoption.rest, out);
    }

    fn adopted_one(&mut self, rest: Option<Vec<Arc<str>>>, out: &mut Outbox) {
        if let Some(rest) = rest {
            self.adopt_rest(rest, out);
        }
    }
}

fn is_failed_test(answer: &Answer) -> bool {
    matches!(answer, Answer::Failed(status) if matches!(Failed::of(status), Failed::Test))
}

fn epoch(lease: &Value) -> i64 {
    lease["metadata"]["annotations"][EPOCH_ANNOTATION].as_str().and_then(|epoch| epoch.parse().ok()).unwrap_or(0)
}
