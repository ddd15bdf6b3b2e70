//! What the switches do around the operator's core: events bent before it sees them, actions before they are carried out. With every rule
//! kept, nothing is bent.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::digest::Digest;
use crds::reason::Reason;
use operator::action::{Action, NodeWrite};
use operator::observe::{LeaseSeen, NodeObject};
use operator::patch::Failed;
use operator::state::{Event, NodeOutcome};
use serde_json::Value;

use super::without::{Rule, Without};

/// What the switched-off rules go by in place of looking.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) nodes: BTreeMap<Arc<str>, NodeObject>,
    pub(crate) leases: BTreeMap<Arc<str>, LeaseSeen>,
    hashes: BTreeMap<Arc<str>, Digest>,
}

/// An event as the core gets to see it, and what it is made to believe besides.
pub(crate) fn event(without: Without, known: &mut Known, mut event: Event) -> (Event, Option<Event>) {
    if without == Without::default() {
        return (event, None);
    }
    known.remember(&event);
    let mut besides = None;
    if without.lacks(Rule::P14Ghosts)
        && let Event::NodeGone { name } | Event::NodeWritten { node: name, outcome: NodeOutcome::Stale(None) } = &event
    {
        let newest = known.nodes.get(name).map_or(0, |object| object.resource_version);
        besides = Some(Event::Node { name: name.clone(), object: Box::new(nothing(newest)) });
    }
    match &mut event {
        Event::Node { object, .. }
        | Event::Adopted { object: Some(object), .. }
        | Event::NodeWritten { outcome: NodeOutcome::Written(object) | NodeOutcome::Stale(Some(object)), .. } => bend_node(without, object),
        Event::Job(job) if without.lacks(Rule::P2Operator) => {
            job.spec_hash = *known.hashes.entry(job.uid.clone()).or_insert(job.spec_hash);
        }
        _ => {}
    }
    (event, besides)
}

fn bend_node(without: Without, object: &mut NodeObject) {
    let fences: BTreeMap<_, _> = object.assignments.iter().map(|(id, entry)| (id.clone(), entry.fence.clone())).collect();
    for (id, report) in &mut object.reports {
        if without.lacks(Rule::P7Fence)
            && let Some(fence) = fences.get(id)
        {
            report.fence = fence.clone();
        }
        if without.lacks(Rule::P16Cancelled)
            && let Some(ended) = report.ended.as_mut().filter(|ended| ended.reason == Reason::Cancelled.name())
        {
            // Of the class that ends a job, as `Cancelled` itself is.
            Reason::CredentialDenied.name().clone_into(&mut ended.reason);
        }
    }
}

/// An object that says that nothing runs.
fn nothing(resource_version: u64) -> NodeObject {
    NodeObject {
        uid: "nothing".into(),
        resource_version,
        unschedulable: true,
        epoch: i64::MAX,
        sequence: 0,
        assignments: BTreeMap::new(),
        reports: BTreeMap::new(),
        sealed: BTreeMap::new(),
        key: None,
        agent: "".into(),
        not_ready: None,
        memory_bytes: 0,
        slots: 0,
    }
}

/// An action as it is carried out; `None`: not at all.
pub(crate) fn action(without: Without, mut action: Action) -> Option<Action> {
    match &mut action {
        Action::WriteStatus(write) => {
            if without.lacks(Rule::P7Folded) {
                write.status.folded.clear();
            }
            if without.lacks(Rule::P16Lost) {
                write.status.retries.iter_mut().for_each(|tries| tries.lost = 0);
            }
            if without.lacks(Rule::P16Budget) {
                write.status.retries.iter_mut().for_each(|tries| tries.budgeted = 0);
            }
            write.live &= without.keeps(Rule::P9Look);
        }
        Action::WriteNode(write) if without.lacks(Rule::P7Cancel) => {
            let cancelled = std::mem::take(&mut write.cancel);
            write.remove.extend(cancelled.into_keys());
        }
        Action::GetJob { .. } if without.lacks(Rule::P14Orphans) => return None,
        Action::ForgetNode { .. } if without.lacks(Rule::P14Gone) => return None,
        _ => {}
    }
    Some(action)
}

/// A write in as many parts as it has changes, the last first.
pub(crate) fn parts(without: Without, write: NodeWrite) -> Vec<NodeWrite> {
    if without.keeps(Rule::P6Groups) {
        return vec![write];
    }
    let empty = write.unchanging();
    let NodeWrite { add, cancel, remove, .. } = write;
    let adds = add.into_iter().map(|one| NodeWrite { add: BTreeMap::from([one]), ..empty.clone() });
    let cancels = cancel.into_iter().map(|one| NodeWrite { cancel: [one].into(), ..empty.clone() });
    let removals = remove.into_iter().map(|one| NodeWrite { remove: [one].into(), ..empty.clone() });
    adds.chain(cancels).chain(removals).collect()
}

/// The patch of a node's spec without some of its tests.
pub(crate) fn spec_patch(without: Without, operations: &mut Vec<Value>) {
    let is_test = |operation: &Value, paths: &[&str]| {
        operation["op"] == "test" && operation["path"].as_str().is_some_and(|path| paths.contains(&path))
    };
    if without.lacks(Rule::P4Uid) {
        operations.retain(|operation| !is_test(operation, &["/metadata/uid"]));
    }
    if without.lacks(Rule::P4Counted) {
        operations.retain(|operation| !is_test(operation, &["/spec/epoch", "/spec/sequence"]));
    }
}

/// What an answer is taken for.
pub(crate) fn failed(without: Without, failed: Failed) -> Failed {
    match failed {
        Failed::Test if without.lacks(Rule::P5Meaning) => Failed::Refused("taken for a refusal".to_owned()),
        Failed::Refused(_) if without.lacks(Rule::P13Operator) => Failed::Test,
        other => other,
    }
}

// === impl Known ===

impl Known {
    fn remember(&mut self, event: &Event) {
        match event {
            Event::Node { name, object }
            | Event::Adopted { node: name, object: Some(object) }
            | Event::NodeWritten { node: name, outcome: NodeOutcome::Written(object) | NodeOutcome::Stale(Some(object)) } => {
                let newest = self.nodes.get(name).map_or(0, |known| known.resource_version);
                if object.resource_version >= newest {
                    self.nodes.insert(name.clone(), NodeObject::clone(object));
                }
            }
            Event::Lease { node, lease } => {
                self.leases.insert(node.clone(), lease.clone());
            }
            _ => {}
        }
    }
}
