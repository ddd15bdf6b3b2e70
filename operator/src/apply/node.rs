//! Writes of a node's spec: tested patches, bisected when one of their entries is refused (P4, P6, P13), and its adoption (P8).

use std::sync::Arc;

use crds::names::OPERATOR_MANAGER;
use crds::node::{AssignedJob, Assignment, WasmNode};
use kube::api::PatchParams;
use kube::{Api, ResourceExt as _};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::{Value, json};

use super::{Asking, Failed, live_lease, patch, pointer_step, read, request};
use crate::action::{NewEntry, NodeWrite};
use crate::observe::NodeObject;
use crate::state::{Event, NodeOutcome};

/// Writes, in as many parts as refusals make necessary, and tells what the object then is.
pub(super) async fn write(asking: &Asking, write: NodeWrite) -> Option<Event> {
    let node = write.node.clone();
    if let Some(version) = write.given_up_at {
        // The look at the Lease, repeated right before anything is taken from a node that was given up (P10).
        let lease = live_lease(asking, &node).await;
        if lease.as_ref().map_or(0, |lease| lease.resource_version) != version {
            let _ = asking.events.send(Event::LeaseRead { node: node.clone(), lease }).await;
            return Some(Event::NodeWritten { node: node.clone(), outcome: NodeOutcome::Stale(live(asking, &node).await?) });
        }
    }
    let mut parts = vec![write];
    let mut last = None;
    while let Some(mut part) = parts.pop() {
        if let Some(sequence) = last.as_ref().map(|object: &NodeObject| object.sequence) {
            part.sequence = sequence;
        }
        match patch_spec(asking, &part).await {
            Ok(object) => last = Some(object),
            Err(Failed::Refused(why)) => match bisect(part) {
                Ok(halves) => parts.extend(halves),
                Err(entry) => {
                    tracing::error!(node = %node, job = %format!("{}/{}", entry.namespace, entry.name), why, "an assignment was refused");
                    let _ = asking.events.send(Event::EntryRefused { uid: entry.uid, why }).await;
                }
            },
            Err(failed) => {
                tracing::debug!(node = %node, failed = %failed, "a write of assignments did not hold");
                asking.metrics.failed("wasmnode_spec");
                return Some(Event::NodeWritten { node: node.clone(), outcome: NodeOutcome::Stale(live(asking, &node).await?) });
            }
        }
    }
    let outcome = match last {
        Some(object) => NodeOutcome::Written(Box::new(object)),
        None => NodeOutcome::Stale(live(asking, &node).await?),
    };
    Some(Event::NodeWritten { node, outcome })
}

/// The halves of a write; of one that cannot be halved, the entry that was refused. Cancels and removals alone are never refused.
fn bisect(mut write: NodeWrite) -> Result<Vec<NodeWrite>, NewEntry> {
    let mut of_adds =
        NodeWrite { add: std::mem::take(&mut write.add), cancel: Default::default(), remove: Default::default(), ..write.clone() };
    let has_rest = !write.cancel.is_empty() || !write.remove.is_empty();
    if has_rest {
        return Ok(vec![of_adds, write]);
    }
    match of_adds.add.len() {
        0 | 1 => match of_adds.add.pop_first() {
            Some((_, entry)) => Err(entry),
            None => Ok(Vec::new()),
        },
        count => {
            let middle = of_adds.add.keys().nth(count / 2).cloned().expect("there are two or more");
            let upper = of_adds.add.split_off(&middle);
            Ok(vec![NodeWrite { add: upper, ..of_adds.clone() }, of_adds])
        }
    }
}

async fn patch_spec(asking: &Asking, write: &NodeWrite) -> Result<NodeObject, Failed> {
    let nodes: Api<WasmNode> = Api::namespaced(asking.client.clone(), &asking.pool);
    let mut operations = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": &*write.uid }),
        json!({ "op": "test", "path": "/spec/epoch", "value": write.epoch }),
        json!({ "op": "test", "path": "/spec/sequence", "value": write.sequence }),
        json!({ "op": "replace", "path": "/spec/sequence", "value": write.sequence + 1 }),
    ];
    let path = |id: &str| format!("/spec/assignments/{}", pointer_step(id));
    for (id, entry) in &write.add {
        operations.push(json!({ "op": "add", "path": path(id), "value": assignment(entry)? }));
    }
    operations.extend(write.cancel.iter().map(|id| json!({ "op": "add", "path": format!("{}/cancel", path(id)), "value": true })));
    operations.extend(write.remove.iter().map(|id| json!({ "op": "remove", "path": path(id) })));
    asking.metrics.write("wasmnode_spec");
    let (parameters, patch) = (PatchParams::apply(OPERATOR_MANAGER), patch(Value::Array(operations)));
    observed(&request(nodes.patch(&write.node, &parameters, &patch)).await?)
}

fn observed(node: &WasmNode) -> Result<NodeObject, Failed> {
    NodeObject::observe(node).map_err(|error| Failed::Unanswered(error.to_string()))
}

fn assignment(entry: &NewEntry) -> Result<Assignment, Failed> {
    let mut fence = [0_u8; 16];
    // 128 bits that never come twice (P1).
    getrandom(&mut fence, GetRandomFlags::empty()).map_err(|error| Failed::Unanswered(format!("no random numbers: {error}")))?;
    Ok(Assignment {
        job: AssignedJob {
            namespace: entry.namespace.to_string(),
            name: entry.name.to_string(),
            uid: entry.uid.to_string(),
            run: entry.run,
            generation: entry.generation,
            spec_hash: entry.spec_hash.clone(),
        },
        attempt: entry.attempt,
        fence: hex::encode(fence),
        indexes: "0".to_owned(),
        cancel: false,
    })
}

/// The node's object by a live GET. `None`: another leader wrote it, and this process ends.
async fn live(asking: &Asking, node: &str) -> Option<Option<Box<NodeObject>>> {
    let nodes: Api<WasmNode> = Api::namespaced(asking.client.clone(), &asking.pool);
    let Some(found) = read(|| nodes.get_opt(node)).await else { return Some(None) };
    if found.spec.epoch > asking.leadership.epoch() {
        asking
            .stop(format!("another leader wrote node {node}: its epoch is {}, ours {}", found.spec.epoch, asking.leadership.epoch()))
            .await;
        return None;
    }
    Some(NodeObject::observe(&found).ok().map(Box::new))
}

/// Makes the node ours: the epoch by a tested patch, then a live look at our own Lease (P8).
pub(crate) async fn adopt(asking: &Asking, node: Arc<str>) -> Option<Event> {
    let nodes: Api<WasmNode> = Api::namespaced(asking.client.clone(), &asking.pool);
    let Some(found) = read(|| nodes.get_opt(&node)).await else { return Some(Event::NodeGone { name: node }) };
    let epoch = asking.leadership.epoch();
    if found.spec.epoch > epoch {
        asking.stop(format!("another leader wrote node {node}: its epoch is {}, ours {epoch}", found.spec.epoch)).await;
        return None;
    }
    let operations = json!([
        { "op": "test", "path": "/metadata/uid", "value": found.uid() },
        { "op": "test", "path": "/spec/epoch", "value": found.spec.epoch },
        { "op": "test", "path": "/spec/sequence", "value": found.spec.sequence },
        { "op": "replace", "path": "/spec/epoch", "value": epoch },
        { "op": "replace", "path": "/spec/sequence", "value": found.spec.sequence + 1 },
    ]);
    asking.metrics.write("wasmnode_spec");
    let (parameters, patch) = (PatchParams::apply(OPERATOR_MANAGER), patch(operations));
    let object = match request(nodes.patch(&node, &parameters, &patch)).await.and_then(|node| observed(&node)) {
        Ok(object) => object,
        Err(failed) => {
            // Set aside: it stops nothing, and is tried again.
            tracing::warn!(node = %node, failed = %failed, "a node could not be taken over");
            asking.metrics.failed("wasmnode_spec");
            return Some(Event::Adopted { node, object: None });
        }
    };
    if !asking.leadership.holds_live(asking).await {
        asking.stop("another leader holds the Lease".to_owned()).await;
        return None;
    }
    Some(Event::Adopted { node, object: Some(Box::new(object)) })
}

#[cfg(test)]
mod tests;
