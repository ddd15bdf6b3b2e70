//! Writes of a node's spec: as `operator::apply::node`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::node::WasmNode;
use operator::action::NodeWrite;
use operator::observe::NodeObject;
use operator::patch::{self, Failed};
use operator::state::{Event, NodeOutcome};
use serde_json::Value;

use super::super::super::api::{Answer, Key, Part, Request};
use super::super::super::bend;
use super::super::super::clock::Millis;
use super::super::super::network::Outbox;
use super::super::super::without::Rule;
use super::super::{Operator, Task, lease, node, typed};
use super::{Asking, LOOK_AGAIN, failed, found};

/// A node's write, in as many parts as refusals make necessary.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    part: NodeWrite,
    rest: Vec<NodeWrite>,
    last: Option<Arc<Value>>,
}

impl Operator {
    /// Goes on with what is left to write of a node; tells what the object is, when nothing is.
    pub(super) fn write_parts(&mut self, mut rest: Vec<NodeWrite>, last: Option<Arc<Value>>, now: Millis, out: &mut Outbox) {
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
        let fences: Vec<String> = part.add.keys().map(|id| self.fence(id)).collect();
        let mut operations = patch::spec(&part, fences, &BTreeMap::new());
        bend::spec_patch(self.without, &mut operations);
        let request = Request::Patch { key: Key::node(&part.node), part: Part::Spec, operations };
        self.ask_with(Asking::Write(Write { part, rest, last }), request, out);
    }

    pub(super) fn wrote_part(&mut self, write: Write, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Write { part, mut rest, last } = write;
        if let Answer::Object(object) = answer {
            return self.write_parts(rest, Some(object.clone()), now, out);
        }
        let node = part.node.clone();
        match bend::failed(self.without, failed(answer)) {
            Failed::Refused(why) => {
                match patch::bisect(part) {
                    Ok(halves) => rest.extend(halves),
                    Err(entry) => self.observe(Event::EntryRefused { uid: entry.uid, why }, now),
                }
                if rest.is_empty() && last.is_none() {
                    return self.read_node(node, None, out);
                }
                self.write_parts(rest, last, now, out);
            }
            Failed::Unanswered(_) if self.without.lacks(Rule::P5Reread) => {
                // What was last seen is taken for what is.
                let object = self.known.nodes.get(&node).cloned().map(Box::new);
                self.observe(Event::NodeWritten { node, outcome: NodeOutcome::Stale(object) }, now);
            }
            Failed::Unanswered(_) if !part.add.is_empty() && self.without.keeps(Rule::P5Settled) => self.read_node(node, Some(part), out),
            _ => self.read_node(node, None, out),
        }
    }

    pub(super) fn looked_at_lease(&mut self, write: NodeWrite, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Ok(found) = found(answer) else {
            let request = Request::Get(Key::lease(&write.node));
            return self.ask_with(Asking::LookAtLease(write), request, out);
        };
        let lease = found.and_then(lease);
        if lease.as_ref().map_or(0, |lease| lease.resource_version) == write.given_up_at.unwrap_or(0) {
            return self.write_parts(vec![write], None, now, out);
        }
        let node = write.node;
        self.observe(Event::LeaseRead { node: node.clone(), lease }, now);
        self.read_node(node, None, out);
    }

    pub(super) fn read_node(&mut self, node: Arc<str>, unsettled: Option<NodeWrite>, out: &mut Outbox) {
        let request = Request::Get(Key::node(&node));
        self.ask_with(Asking::ReadNode { node, unsettled }, request, out);
    }

    pub(super) fn node_read(&mut self, name: Arc<str>, unsettled: Option<NodeWrite>, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Ok(found) = found(answer) else { return self.read_node(name, unsettled, out) };
        let found = found.map(typed::<WasmNode>);
        if found.as_ref().is_some_and(|found| found.spec.epoch > self.epoch) {
            out.over = Some("another leader wrote the node".to_owned());
            return;
        }
        let object = found.and_then(|found| NodeObject::observe(&found).ok());
        let may_arrive = |write: &NodeWrite| {
            let same = |object: &NodeObject| object.uid == write.uid && object.epoch == write.epoch && object.sequence == write.sequence;
            object.as_ref().is_some_and(same)
        };
        if let Some(write) = unsettled.filter(may_arrive) {
            let request = Request::Patch { key: Key::node(&name), part: Part::Spec, operations: patch::barrier(&write) };
            return self.ask_with(Asking::Settle(write), request, out);
        }
        self.observe(Event::NodeWritten { node: name, outcome: NodeOutcome::Stale(object.map(Box::new)) }, now);
    }

    pub(super) fn settled(&mut self, write: NodeWrite, answer: &Answer, now: Millis) {
        if let Answer::Object(object) = answer
            && let Some((node, object)) = node(object)
        {
            return self.observe(Event::NodeWritten { node, outcome: NodeOutcome::Stale(Some(Box::new(object))) }, now);
        }
        let again = Asking::ReadNode { node: write.node.clone(), unsettled: Some(write) };
        self.tasks.sleep(Task::Asking(Box::new(again)), now + LOOK_AGAIN);
    }
}
