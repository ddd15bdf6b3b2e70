//! What is left of a node whose Node is gone: as `operator::apply::gone`.

use std::sync::Arc;

use operator::state::Event;

use super::super::super::api::{Answer, Deleter, Key, Request};
use super::super::super::clock::Millis;
use super::super::super::network::Outbox;
use super::super::{Operator, lease};
use super::{Asking, found};

/// What is to be taken away, and how far that has come.
#[derive(Clone, Debug)]
pub(crate) struct Forgetting {
    node: Arc<str>,
    object: Option<(Arc<str>, u64)>,
    lease: Option<u64>,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Looking,
    Deleting,
    LookingAtLease,
    DeletingLease,
}

impl Forgetting {
    pub(super) fn new(node: Arc<str>, object: Option<(Arc<str>, u64)>, lease: Option<u64>) -> Self {
        Self { node, object, lease, step: Step::Looking }
    }
}

impl Operator {
    /// Asks what the step is about.
    pub(super) fn forget(&mut self, forgetting: Forgetting, out: &mut Outbox) {
        let Forgetting { node, object, lease, step } = &forgetting;
        let delete = |key, uid, version| Request::Delete { key, uid, resource_version: Some(version), by: Deleter::Operator };
        let request = match (step, object, lease) {
            (Step::Deleting, Some((uid, version)), _) => delete(Key::node(node), Some(uid.clone()), *version),
            (Step::DeletingLease, _, Some(version)) => delete(Key::lease(node), None, *version),
            (Step::LookingAtLease, _, _) => Request::Get(Key::lease(node)),
            (Step::Looking | Step::Deleting | Step::DeletingLease, _, _) => Request::Get(Key::kube_node(node)),
        };
        self.ask_with(Asking::Forget(forgetting), request, out);
    }

    pub(super) fn forget_on(&mut self, forgetting: Forgetting, answer: &Answer, now: Millis, out: &mut Outbox) {
        let next = match (forgetting.step, found(answer)) {
            (Step::Looking | Step::LookingAtLease, Err(())) => Some(forgetting.step),
            (Step::Looking, Ok(None)) if forgetting.object.is_some() => Some(Step::Deleting),
            (Step::Looking, Ok(None)) | (Step::Deleting, Ok(Some(_))) if forgetting.lease.is_some() => Some(Step::LookingAtLease),
            (Step::LookingAtLease, Ok(Some(found))) if lease(found).map(|lease| lease.resource_version) == forgetting.lease => {
                Some(Step::DeletingLease)
            }
            _ => None,
        };
        match next {
            Some(step) => self.forget(Forgetting { step, ..forgetting }, out),
            None => self.observe(Event::Forgotten { node: forgetting.node }, now),
        }
    }
}
