//! The node's Lease, answer by answer: as `node_agent::lease`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::api::{Answer, Key, Kind, Request};
use super::super::clock::Millis;
use super::super::network::Outbox;
use super::super::without::Rule;
use super::{AGAIN, Agent, Around, Ending, Task};

/// R, S and K of the protocol, in milliseconds.
pub(crate) const RENEW: Millis = 5_000;
pub(crate) const FENCE: Millis = 20_000;
pub(crate) const KILL: Millis = 2_000;

/// How far it has come. Times are ticks of the process's clock.
#[derive(Clone, Debug)]
pub(crate) enum Leasing {
    Looking {
        known: Option<(String, Millis)>,
    },
    Taking {
        sent: Millis,
    },
    Renewing {
        sent: Millis,
    },
    /// After a conflict.
    RenewingLook,
    Releasing,
    Released,
}

/// What is known of the Lease while it is held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holding {
    lease: Option<Arc<Value>>,
    /// Until when guests may run because of it, in ticks.
    pub(crate) deadline: Millis,
    renew_at: Millis,
    renewing: bool,
}

impl Holding {
    /// Of a renewal that was sent then.
    fn since(sent: Millis, lease: &Arc<Value>) -> Self {
        Self { lease: Some(lease.clone()), deadline: sent + FENCE, renew_at: sent + RENEW, renewing: false }
    }
}

impl Agent {
    pub(super) fn acquire(&mut self, known: Option<(String, Millis)>, out: &mut Outbox) {
        let key = Key::lease(&self.node);
        self.tasks.ask(Task::Leasing(Leasing::Looking { known }), Request::Get(key), out);
    }

    pub(super) fn lease_again(&mut self, leasing: Leasing, out: &mut Outbox) {
        match leasing {
            Leasing::Looking { known } => self.acquire(known, out),
            Leasing::Releasing => self.give_up_lease(out),
            _ => {}
        }
    }

    pub(super) fn give_up_lease(&mut self, out: &mut Outbox) {
        let key = Key::lease(&self.node);
        self.tasks.ask(Task::Leasing(Leasing::Releasing), Request::Get(key), out);
    }

    pub(super) fn lease_on(&mut self, leasing: Leasing, answer: &Answer, around: &mut Around<'_>) {
        match (leasing, answer) {
            (Leasing::Looking { known }, Answer::Object(lease)) => self.claim(known, lease, around),
            (Leasing::Looking { .. }, Answer::Failed(status)) if status.code == 404 => {
                let sent = self.ticks(around.now);
                self.create_lease(Leasing::Taking { sent }, around);
            }
            (Leasing::Looking { .. } | Leasing::Taking { .. }, Answer::Failed(_) | Answer::Silence | Answer::List { .. }) => {
                self.tasks.sleep(Task::Leasing(Leasing::Looking { known: None }), around.now + AGAIN);
            }
            (Leasing::Taking { sent }, Answer::Object(lease)) => {
                self.holding = Holding::since(sent, lease);
                self.read_first(around.out);
            }
            (Leasing::Renewing { sent }, Answer::Object(lease)) => {
                // A Lease that lapsed stays lapsed: others may have been given what ran here.
                if self.ticks(around.now) >= self.holding.deadline {
                    return self.end_term(Ending::Lapsed, around);
                }
                self.holding = Holding::since(sent, lease);
            }
            (Leasing::Renewing { .. }, Answer::Failed(status)) if status.code == 404 => {
                let sent = self.ticks(around.now);
                self.create_lease(Leasing::Renewing { sent }, around);
            }
            (Leasing::Renewing { .. }, Answer::Failed(_)) => {
                let key = Key::lease(&self.node);
                self.tasks.ask(Task::Leasing(Leasing::RenewingLook), Request::Get(key), around.out);
            }
            (Leasing::RenewingLook, Answer::Object(lease)) => self.looked_after_conflict(lease, around),
            (Leasing::Renewing { .. } | Leasing::RenewingLook, _) => {
                self.holding.renewing = false;
                self.holding.renew_at = self.ticks(around.now) + AGAIN;
            }
            (Leasing::Releasing, Answer::Object(lease)) if lease["spec"]["holderIdentity"] == *self.pod => {
                let mut lease = Value::clone(lease);
                lease["spec"]["holderIdentity"] = Value::Null;
                let key = Key::lease(&self.node);
                self.tasks.ask(Task::Leasing(Leasing::Released), Request::Replace(key, lease), around.out);
            }
            (Leasing::Releasing, Answer::Silence) => self.give_up_lease(around.out),
            (Leasing::Releasing | Leasing::Released, _) => around.out.over = Some("drained".to_owned()),
        }
    }

    fn create_lease(&mut self, then: Leasing, around: &mut Around<'_>) {
        let lease = json!({ "metadata": { "name": &*self.node }, "spec": {} });
        let lease = self.held(&lease, around.now);
        self.tasks.ask(Task::Leasing(then), Request::Create(Kind::Lease, lease), around.out);
    }

    /// P12: another pod's Lease is waited for until it has not changed for S + kill time.
    fn claim(&mut self, known: Option<(String, Millis)>, lease: &Value, around: &mut Around<'_>) {
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        let version = lease["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let ticks = self.ticks(around.now);
        let since = known.filter(|(seen, _)| *seen == version).map_or(ticks, |(_, since)| since);
        let free = holder.is_empty() || *holder == *self.pod || ticks - since >= FENCE + KILL || self.without.lacks(Rule::P12SecondPod);
        if free {
            let (key, held) = (Key::lease(&self.node), self.held(lease, around.now));
            self.tasks.ask(Task::Leasing(Leasing::Taking { sent: ticks }), Request::Replace(key, held), around.out);
        } else {
            self.tasks.sleep(Task::Leasing(Leasing::Looking { known: Some((version, since)) }), around.now + AGAIN);
        }
    }

    fn looked_after_conflict(&mut self, lease: &Arc<Value>, around: &mut Around<'_>) {
        if self.holding.lease.as_ref().is_some_and(|known| is_older(lease, known)) {
            return self.end_term(Ending::Restored, around);
        }
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if !holder.is_empty() && *holder != *self.pod {
            return self.end_term(Ending::Taken, around);
        }
        self.holding.lease = Some(lease.clone());
        self.send_renewal(around);
    }

    fn send_renewal(&mut self, around: &mut Around<'_>) {
        let Some(lease) = self.holding.lease.clone() else { return };
        self.holding.renewing = true;
        let (sent, key, held) = (self.ticks(around.now), Key::lease(&self.node), self.held(&lease, around.now));
        self.tasks.ask(Task::Leasing(Leasing::Renewing { sent }), Request::Replace(key, held), around.out);
    }

    fn held(&self, lease: &Value, now: Millis) -> Value {
        let mut lease = lease.clone();
        lease["spec"]["holderIdentity"] = (*self.pod).into();
        lease["metadata"]["annotations"]["renewed"] = self.ticks(now).to_string().into();
        lease
    }

    /// The true time of the next renewal, or of the lapse.
    pub(super) fn next_renewal(&self) -> Millis {
        match &self.holding.lease {
            None => Millis::MAX,
            Some(_) if self.holding.renewing => self.clock.when(self.holding.deadline),
            Some(_) => self.clock.when(self.holding.renew_at.min(self.holding.deadline)),
        }
    }

    /// Renews when it is time; ends the term when the deadline has passed.
    pub(super) fn renew(&mut self, around: &mut Around<'_>) {
        if self.holding.lease.is_none() {
            return;
        }
        let ticks = self.ticks(around.now);
        if ticks >= self.holding.deadline {
            return self.end_term(Ending::Lapsed, around);
        }
        if !self.holding.renewing && ticks >= self.holding.renew_at {
            self.send_renewal(around);
        }
    }
}

/// Whether it is an earlier version of the same object (P15).
pub(super) fn is_older(found: &Value, known: &Value) -> bool {
    let version =
        |object: &Value| object["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse::<u64>().ok()).unwrap_or(0);
    found["metadata"]["uid"] == known["metadata"]["uid"] && version(found) < version(known)
}
