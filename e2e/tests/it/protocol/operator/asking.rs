//! Actions carried out answer by answer: as `operator::apply`, with the very patches, and with the switches that lie around the core.

mod gone;
mod jobs;
mod nodes;

use std::sync::Arc;

use operator::action::{Action, NodeWrite, StatusWrite};
use operator::patch::Failed;
use operator::state::Event;
use serde_json::Value;

use self::gone::Forgetting;
use self::nodes::Write;
use super::super::api::{Answer, Deleter, Key, Request};
use super::super::bend;
use super::super::clock::Millis;
use super::super::network::Outbox;
use super::super::without::Rule;
use super::{Operator, Task, lease};

/// How long to wait before what got no answer is looked at again.
const LOOK_AGAIN: Millis = 500;

/// What is under way of an action.
#[derive(Clone, Debug)]
pub(crate) enum Asking {
    Write(Write),
    /// P10: the look at a given-up node's Lease, right before anything is taken from it.
    LookAtLease(NodeWrite),
    /// P5: the node by a live GET, after a write that did not hold; one that may still arrive, if there is one.
    ReadNode {
        node: Arc<str>,
        unsettled: Option<NodeWrite>,
    },
    /// P5: the write after which that one can no longer arrive.
    Settle(NodeWrite),
    LookAtJob(StatusWrite),
    WriteStatus(StatusWrite),
    ReadJob {
        uid: Arc<str>,
        name: Arc<str>,
        of: Of,
    },
    Follow {
        uid: Arc<str>,
        name: Arc<str>,
        is_written: bool,
    },
    Delete {
        uid: Arc<str>,
        name: Arc<str>,
    },
    ReadLease(Arc<str>),
    Forget(Forgetting),
}

/// What a read of a job is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Action,
    Status,
}

impl Operator {
    /// Begins to carry out an action.
    pub(super) fn act(&mut self, action: Action, now: Millis, out: &mut Outbox) {
        let Some(action) = bend::action(self.without, action) else { return };
        match action {
            Action::WriteNode(write) => match write.given_up_at {
                Some(_) if self.without.keeps(Rule::P10Look) => {
                    let request = Request::Get(Key::lease(&write.node));
                    self.ask_with(Asking::LookAtLease(write), request, out);
                }
                _ => self.write_parts(bend::parts(self.without, write), None, now, out),
            },
            Action::WriteStatus(write) if write.live => {
                let request = Request::Get(Key::job(&write.name));
                self.ask_with(Asking::LookAtJob(write), request, out);
            }
            Action::WriteStatus(write) => self.write_status(write, out),
            Action::GetJob { name, uid, .. } => self.read_job(uid, name, Of::Action, out),
            Action::GetLease { node } if self.without.lacks(Rule::P10Look) => {
                // What the watch said last is taken for what is.
                let lease = self.known.leases.get(&node).cloned();
                self.observe(Event::LeaseRead { node, lease }, now);
            }
            Action::GetLease { node } => {
                let request = Request::Get(Key::lease(&node));
                self.ask_with(Asking::ReadLease(node), request, out);
            }
            Action::Adopt { node } => self.adopt(node, None, out),
            Action::Follow { name, uid, .. } => {
                let request = Request::Get(Key::job(&name));
                self.ask_with(Asking::Follow { uid, name, is_written: false }, request, out);
            }
            Action::DeleteJob { name, uid, resource_version, .. } => {
                let key = Key::job(&name);
                let request =
                    Request::Delete { key, uid: Some(uid.clone()), resource_version: Some(resource_version), by: Deleter::Operator };
                self.ask_with(Asking::Delete { uid, name }, request, out);
            }
            Action::ForgetNode { node, object, lease } => self.forget(Forgetting::new(node, object, lease), out),
            // The model's jobs name none: what it would show is the same without.
            Action::ReadSecrets { .. } => panic!("a job of the model names no Secret"),
            Action::StartAgain { .. } if self.without.lacks(Rule::P15Back) => {}
            Action::StartAgain { why } => out.over = Some(why),
        }
    }

    fn ask_with(&mut self, asking: Asking, request: Request, out: &mut Outbox) {
        self.tasks.ask(Task::Asking(Box::new(asking)), request, out);
    }

    /// Goes on with the answer.
    pub(super) fn ask_on(&mut self, asking: Asking, answer: &Answer, now: Millis, out: &mut Outbox) {
        match asking {
            Asking::Write(write) => self.wrote_part(write, answer, now, out),
            Asking::LookAtLease(write) => self.looked_at_lease(write, answer, now, out),
            Asking::ReadNode { node, unsettled } => self.node_read(node, unsettled, answer, now, out),
            Asking::Settle(write) => self.settled(write, answer, now),
            Asking::LookAtJob(write) => self.looked_at_job(write, answer, now, out),
            Asking::WriteStatus(write) => self.wrote_status(write, answer, now, out),
            Asking::ReadJob { uid, name, of } => self.job_read(uid, name, of, answer, now, out),
            Asking::Follow { uid, name, is_written } => self.followed(uid, name, is_written, answer, now, out),
            Asking::Forget(forgetting) => self.forget_on(forgetting, answer, now, out),
            Asking::Delete { uid, name } => self.read_job(uid, name, Of::Action, out),
            Asking::ReadLease(node) => match found(answer) {
                Err(()) => self.ask_with(Asking::ReadLease(node.clone()), Request::Get(Key::lease(&node)), out),
                Ok(found) => {
                    let lease = found.and_then(lease);
                    self.observe(Event::LeaseRead { node, lease }, now);
                }
            },
        }
    }

    /// Goes on with what was put off.
    pub(super) fn ask_again(&mut self, asking: Asking, out: &mut Outbox) {
        if let Asking::ReadNode { node, unsettled } = asking {
            self.read_node(node, unsettled, out);
        }
    }
}

/// What a live GET found; `Err`: it was not answered.
fn found(answer: &Answer) -> Result<Option<&Value>, ()> {
    match answer {
        Answer::Object(object) => Ok(Some(object)),
        Answer::Failed(status) if status.code == 404 => Ok(None),
        Answer::Failed(_) | Answer::Silence | Answer::List { .. } => Err(()),
    }
}

/// How a write failed whose answer is not the object after it.
fn failed(answer: &Answer) -> Failed {
    match answer {
        Answer::Failed(status) => Failed::of(status),
        Answer::Object(_) | Answer::Silence | Answer::List { .. } => Failed::Unanswered(String::new()),
    }
}
