//! Actions carried out answer by answer: as `operator::apply`, with the very patches, and with the switches that lie around the core.

use std::sync::Arc;

use crds::node::WasmNode;
use operator::action::{Action, NodeWrite, StatusWrite};
use operator::patch::{self, Failed};
use operator::state::{Event, NodeOutcome, StatusOutcome};
use serde_json::Value;

use super::super::bend;
use super::super::api::{Answer, Deleter, Key, Part, Request};
use super::super::clock::Millis;
use super::super::network::Outbox;
use super::super::without::Rule;
use super::{Operator, Task, job, lease, node, typed};

/// What is under way of an action.
#[derive(Clone, Debug)]
pub(crate) enum Asking {
    Write(Write),
    /// P10: the look at a given-up node's Lease, right before anything is taken from it.
    LookAtLease(NodeWrite),
    /// P5: the node by a live GET; `true`: the look at its Lease has changed the decision already.
    ReadNode(Arc<str>),
    LookAtJob(StatusWrite),
    WriteStatus(StatusWrite),
    ReadJob { uid: Arc<str>, name: Arc<str>, of: Of },
    Follow { uid: Arc<str>, name: Arc<str>, is_written: bool },
    Delete { uid: Arc<str>, name: Arc<str> },
    ReadLease(Arc<str>),
}

/// A node's write, in as many parts as refusals make necessary.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    part: NodeWrite,
    rest: Vec<NodeWrite>,
    last: Option<Arc<Value>>,
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
                Some(_) => {
                    let request = Request::Get(Key::lease(&write.node));
                    self.ask_with(Asking::LookAtLease(write), request, out);
                }
                None => self.write_parts(bend::parts(self.without, write), None, now, out),
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
            Action::StartAgain { .. } if self.without.lacks(Rule::P15Back) => {}
            Action::StartAgain { why } => out.over = Some(why),
        }
    }

    fn ask_with(&mut self, asking: Asking, request: Request, out: &mut Outbox) {
        self.ask(Task::Asking(Box::new(asking)), request, out);
    }

    fn read_job(&mut self, uid: Arc<str>, name: Arc<str>, of: Of, out: &mut Outbox) {
        let request = Request::Get(Key::job(&name));
        self.ask_with(Asking::ReadJob { uid, name, of }, request, out);
    }

    fn write_status(&mut self, write: StatusWrite, out: &mut Outbox) {
        let mut operations = patch::status(&write);
        if self.without.lacks(Rule::P4Version) {
            operations.retain(|operation| operation["op"] != "test");
        }
        let request = Request::Patch { key: Key::job(&write.name), part: Part::Status, operations };
        self.ask_with(Asking::WriteStatus(write), request, out);
    }

    /// Goes on with what is left to write of a node; tells what the object is, when nothing is.
    fn write_parts(&mut self, mut rest: Vec<NodeWrite>, last: Option<Arc<Value>>, now: Millis, out: &mut Outbox) {
        let object = last.as_ref().and_then(|last| node(last));
        let Some(mut part) = rest.pop() else {
            if let Some((node, object)) = object {
                self.observe(Event::NodeWritten { node, outcome: NodeOutcome::Written(Box::new(object)) }, now);
            }
            return;
        };
        if let Some((_, object)) = object {
            part.sequence = object.sequence;
        }
        let fences: Vec<String> = part.add.keys().cloned().collect::<Vec<_>>().iter().map(|id| self.fence(id)).collect();
        let mut operations = patch::spec(&part, fences);
        bend::spec_patch(self.without, &mut operations);
        let request = Request::Patch { key: Key::node(&part.node), part: Part::Spec, operations };
        self.ask_with(Asking::Write(Write { part, rest, last }), request, out);
    }

    fn read_node(&mut self, node: Arc<str>, out: &mut Outbox) {
        let request = Request::Get(Key::node(&node));
        self.ask_with(Asking::ReadNode(node), request, out);
    }

    pub(super) fn ask_on(&mut self, asking: Asking, answer: Answer, now: Millis, out: &mut Outbox) {
        match asking {
            Asking::Write(write) => self.wrote_part(write, answer, now, out),
            Asking::LookAtLease(write) => self.looked_at_lease(write, &answer, now, out),
            Asking::ReadNode(node) => self.node_read(node, &answer, now, out),
            Asking::LookAtJob(write) => match found(&answer) {
                Err(()) => self.ask_with(Asking::LookAtJob(write.clone()), Request::Get(Key::job(&write.name)), out),
                Ok(found) => {
                    let found = found.and_then(|found| job(found)).filter(|job| job.uid == write.uid);
                    if found.as_ref().is_some_and(|job| job.resource_version == write.resource_version) {
                        self.write_status(write, out);
                    } else {
                        let outcome = StatusOutcome::Stale(found.map(Box::new));
                        self.observe(Event::StatusWritten { uid: write.uid, outcome }, now);
                    }
                }
            },
            Asking::WriteStatus(write) => self.wrote_status(write, &answer, now, out),
            Asking::ReadJob { uid, name, of } => match found(&answer) {
                Err(()) => self.read_job(uid, name, of, out),
                Ok(found) => {
                    let job = found.and_then(|found| job(found)).filter(|job| job.uid == uid).map(Box::new);
                    let event = match of {
                        Of::Action => Event::JobRead { uid, job },
                        Of::Status => Event::StatusWritten { uid, outcome: StatusOutcome::Stale(job) },
                    };
                    self.observe(event, now);
                }
            },
            Asking::Follow { uid, name, is_written } => self.followed(uid, name, is_written, &answer, now, out),
            Asking::Delete { uid, name } => self.read_job(uid, name, Of::Action, out),
            Asking::ReadLease(node) => match found(&answer) {
                Err(()) => self.ask_with(Asking::ReadLease(node.clone()), Request::Get(Key::lease(&node)), out),
                Ok(found) => {
                    let lease = found.and_then(|found| lease(found));
                    self.observe(Event::LeaseRead { node, lease }, now);
                }
            },
        }
    }

    fn wrote_part(&mut self, write: Write, answer: Answer, now: Millis, out: &mut Outbox) {
        let Write { part, mut rest, last } = write;
        let failed = match answer {
            Answer::Object(object) => return self.write_parts(rest, Some(object), now, out),
            Answer::Failed(status) => Failed::of(&status),
            Answer::Silence | Answer::List { .. } => Failed::Unanswered(String::new()),
        };
        let failed = bend::failed(self.without, failed);
        let node = part.node.clone();
        match failed {
            Failed::Refused(why) => {
                match patch::bisect(part) {
                    Ok(halves) => rest.extend(halves),
                    Err(entry) => self.observe(Event::EntryRefused { uid: entry.uid, why }, now),
                }
                if rest.is_empty() && last.is_none() {
                    return self.read_node(node, out);
                }
                self.write_parts(rest, last, now, out);
            }
            Failed::Unanswered(_) if self.without.lacks(Rule::P5Reread) => {
                // What was last seen is taken for what is.
                let object = self.known.nodes.get(&node).cloned().map(Box::new);
                self.observe(Event::NodeWritten { node, outcome: NodeOutcome::Stale(object) }, now);
            }
            _ => self.read_node(node, out),
        }
    }

    fn looked_at_lease(&mut self, write: NodeWrite, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Ok(found) = found(answer) else {
            let request = Request::Get(Key::lease(&write.node));
            return self.ask_with(Asking::LookAtLease(write), request, out);
        };
        let lease = found.and_then(|found| lease(found));
        if lease.as_ref().map_or(0, |lease| lease.resource_version) == write.given_up_at.unwrap_or(0) {
            return self.write_parts(vec![write], None, now, out);
        }
        let node = write.node;
        self.observe(Event::LeaseRead { node: node.clone(), lease }, now);
        self.read_node(node, out);
    }

    fn node_read(&mut self, name: Arc<str>, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Ok(found) = found(answer) else { return self.read_node(name, out) };
        let found = found.map(|found| typed::<WasmNode>(found));
        if found.as_ref().is_some_and(|found| found.spec.epoch > self.epoch) {
            out.over = Some("another leader wrote the node".to_owned());
            return;
        }
        let object = found.and_then(|found| operator::observe::NodeObject::observe(&found).ok());
        self.observe(Event::NodeWritten { node: name, outcome: NodeOutcome::Stale(object.map(Box::new)) }, now);
    }

    fn wrote_status(&mut self, write: StatusWrite, answer: &Answer, now: Millis, out: &mut Outbox) {
        let failed = match answer {
            Answer::Object(object) => match job(object) {
                Some(job) => {
                    let outcome = StatusOutcome::Written(Box::new(job));
                    return self.observe(Event::StatusWritten { uid: write.uid, outcome }, now);
                }
                None => Failed::Test,
            },
            Answer::Failed(status) => Failed::of(status),
            Answer::Silence | Answer::List { .. } => Failed::Unanswered(String::new()),
        };
        let outcome = match failed {
            Failed::Gone => StatusOutcome::Stale(None),
            Failed::Refused(_) => StatusOutcome::Refused,
            Failed::Test | Failed::Unanswered(_) => return self.read_job(write.uid, write.name, Of::Status, out),
        };
        self.observe(Event::StatusWritten { uid: write.uid, outcome }, now);
    }

    fn followed(&mut self, uid: Arc<str>, name: Arc<str>, is_written: bool, answer: &Answer, now: Millis, out: &mut Outbox) {
        if is_written {
            match answer {
                Answer::Object(object) => {
                    let job = job(object).map(Box::new);
                    self.observe(Event::JobRead { uid, job }, now);
                }
                _ => self.read_job(uid, name, Of::Action, out),
            }
            return;
        }
        match found(answer) {
            Err(()) => self.ask_with(Asking::Follow { uid, name: name.clone(), is_written }, Request::Get(Key::job(&name)), out),
            Ok(found) => match found.filter(|found| found["metadata"]["uid"] == *uid) {
                None => self.observe(Event::JobRead { uid, job: None }, now),
                Some(found) => {
                    let request = Request::Patch { key: Key::job(&name), part: Part::Status, operations: patch::follow(&typed(found)) };
                    self.ask_with(Asking::Follow { uid, name, is_written: true }, request, out);
                }
            },
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
