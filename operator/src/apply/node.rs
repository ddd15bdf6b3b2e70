//! Writes of a node's spec: tested patches, bisected when one of their entries is refused (P4, P6, P13), and its adoption (P8).

use std::sync::Arc;

use crds::names::OPERATOR_MANAGER;
use crds::node::WasmNode;
use kube::Api;
use kube::api::PatchParams;
use kube::core::DeserializeGuard;
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::Value;

use super::{Asking, LOOK_AGAIN, json_patch, live_lease, read, request};
use crate::action::NodeWrite;
use crate::observe::NodeObject;
use crate::patch::{self, Failed, bisect};
use crate::state::{Event, NodeOutcome};
use crate::watch::readable;

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
                let found = match &failed {
                    Failed::Unanswered(_) if !part.add.is_empty() => settled(asking, &part).await?,
                    _ => live(asking, &node).await?,
                };
                if matches!(failed, Failed::Denied(_)) {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                return Some(Event::NodeWritten { node: node.clone(), outcome: NodeOutcome::Stale(found) });
            }
        }
    }
    let outcome = match last {
        Some(object) => NodeOutcome::Written(Box::new(object)),
        None => NodeOutcome::Stale(live(asking, &node).await?),
    };
    Some(Event::NodeWritten { node, outcome })
}

async fn patch_spec(asking: &Asking, write: &NodeWrite) -> Result<NodeObject, Failed> {
    let fences = write.add.keys().map(|_| fence()).collect::<Result<Vec<_>, _>>()?;
    patched(asking, &write.node, patch::spec(write, fences)).await
}

/// The node's object after these operations.
async fn patched(asking: &Asking, node: &str, operations: Vec<Value>) -> Result<NodeObject, Failed> {
    let nodes: Api<WasmNode> = Api::namespaced(asking.client.clone(), &asking.pool);
    asking.metrics.write("wasmnode_spec");
    let (parameters, patch) = (PatchParams::apply(OPERATOR_MANAGER), json_patch(operations));
    let object = request(nodes.patch(node, &parameters, &patch)).await?;
    NodeObject::observe(&object).map_err(|error| Failed::Unanswered(error.to_string()))
}

/// The node's object once an assignment that had no answer has been written or never will be: as long as it may still arrive, its job must
/// not be given to another node (P5). `None`: another leader wrote it, and this process ends.
async fn settled(asking: &Asking, write: &NodeWrite) -> Option<Option<Box<NodeObject>>> {
    loop {
        let found = live(asking, &write.node).await?;
        let may_arrive = |object: &NodeObject| object.uid == write.uid && object.epoch == write.epoch && object.sequence == write.sequence;
        if !found.as_deref().is_some_and(may_arrive) {
            return Some(found);
        }
        match patched(asking, &write.node, patch::barrier(write)).await {
            Ok(object) => return Some(Some(Box::new(object))),
            Err(failed) => tracing::debug!(node = %write.node, failed = %failed, "a write without an answer is not settled yet"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// 128 bits that never come twice (P1).
fn fence() -> Result<String, Failed> {
    let mut fence = [0_u8; 16];
    getrandom(&mut fence, GetRandomFlags::empty()).map_err(|error| Failed::Unanswered(format!("no random numbers: {error}")))?;
    Ok(hex::encode(fence))
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

/// What came of taking a node over.
#[derive(Debug)]
pub(crate) enum Adoption {
    Done(Box<NodeObject>),
    /// It is not there any more, or cannot be read or patched.
    SetAside,
    /// Somebody wrote it meanwhile, or no answer came.
    Again,
    /// Another leader is there: this process ends.
    Over,
}

/// Makes the node ours: the epoch by a tested patch, then a live look at our own Lease (P8).
pub(crate) async fn adopt(asking: &Asking, node: &str) -> Adoption {
    let nodes: Api<DeserializeGuard<WasmNode>> = Api::namespaced(asking.client.clone(), &asking.pool);
    // That it is gone, the watch tells. One that cannot be read, asked for again and again, would hold up the take-over of all others.
    let found = read(|| nodes.get_opt(node)).await.and_then(|guard| readable(asking, guard));
    let Some(found) = found else { return Adoption::SetAside };
    let epoch = asking.leadership.epoch();
    if found.spec.epoch > epoch {
        asking.stop(format!("another leader wrote node {node}: its epoch is {}, ours {epoch}", found.spec.epoch)).await;
        return Adoption::Over;
    }
    let object = match patched(asking, node, patch::adoption(&found, epoch)).await {
        Ok(object) => object,
        Err(failed) => {
            tracing::warn!(node, failed = %failed, "a node could not be taken over");
            asking.metrics.failed("wasmnode_spec");
            return match failed {
                Failed::Test | Failed::Unanswered(_) => Adoption::Again,
                Failed::Gone | Failed::Refused(_) | Failed::Denied(_) => Adoption::SetAside,
            };
        }
    };
    if !asking.leadership.holds_live(asking).await {
        asking.stop("another leader holds the Lease".to_owned()).await;
        return Adoption::Over;
    }
    Adoption::Done(Box::new(object))
}

// === impl Adoption ===

impl Adoption {
    /// As the answer to [`crate::action::Action::Adopt`]; one that is not done is asked for again. `None`: this process ends.
    pub(super) fn event(self, node: Arc<str>) -> Option<Event> {
        match self {
            Self::Done(object) => Some(Event::Adopted { node, object: Some(object) }),
            Self::SetAside | Self::Again => Some(Event::Adopted { node, object: None }),
            Self::Over => None,
        }
    }
}
