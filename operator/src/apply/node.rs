//! Writes of a node's spec: tested patches, bisected when one of their entries is refused (P4, P6, P13), and its adoption (P8).

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::names::OPERATOR_MANAGER;
use crds::node::{Sealed, WasmNode, sealed_key};
use kube::Api;
use kube::api::PatchParams;
use kube::core::DeserializeGuard;
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::Value;

use super::{Asking, LOOK_AGAIN, json_patch, live_lease, read, request};
use crate::action::NodeWrite;
use crate::observe::NodeObject;
use crate::patch::{self, Failed, bisect};
use crate::seal::seal;
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
            Err(Failed::Refused(why)) if !part.add.is_empty() => {
                let nothing = patch::barrier(&part);
                match bisect(part) {
                    Ok(halves) => parts.extend(halves),
                    Err(entry) => match patched(asking, &node, nothing).await {
                        Ok(object) => {
                            let job = format!("{}/{}", entry.namespace, entry.name);
                            tracing::error!(node = %node, job, why, "an assignment was refused");
                            last = Some(object);
                            let _ = asking.events.send(Event::EntryRefused { uid: entry.uid, why }).await;
                        }
                        Err(failed) => return denied(asking, &node, failed).await,
                    },
                }
            }
            Err(failed @ (Failed::Refused(_) | Failed::Denied(_))) => return denied(asking, &node, failed).await,
            Err(failed) => {
                tracing::debug!(node = %node, failed = %failed, "a write of assignments did not hold");
                asking.metrics.failed("wasmnode_spec");
                let found = match &failed {
                    Failed::Unanswered(_) if !part.add.is_empty() => settled(asking, &part).await?,
                    _ => live(asking, &node).await?,
                };
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

/// A write was not taken. If it was not for what it tests, nothing of this node is: even a write that changes nothing is refused, or none of
/// ours is allowed.
async fn denied(asking: &Asking, node: &Arc<str>, failed: Failed) -> Option<Event> {
    asking.metrics.failed("wasmnode_spec");
    if let Failed::Refused(why) | Failed::Denied(why) = failed {
        let _ = asking.events.send(Event::NodeDenied { node: node.clone(), why }).await;
    }
    Some(Event::NodeWritten { node: node.clone(), outcome: NodeOutcome::Stale(live(asking, node).await?) })
}

async fn patch_spec(asking: &Asking, write: &NodeWrite) -> Result<NodeObject, Failed> {
    let fences = write.add.keys().map(|_| fence()).collect::<Result<Vec<_>, _>>()?;
    patched(asking, &write.node, patch::spec(write, fences, &sealed(write)?)).await
}

/// What the added entries' runs are given, sealed to the node's key.
fn sealed(write: &NodeWrite) -> Result<BTreeMap<String, Sealed>, Failed> {
    let of_entries = write.add.values().filter_map(|entry| Some((&entry.uid, entry.run, entry.granted.as_deref()?)));
    let anew = write.seal.values().map(|anew| (&anew.uid, anew.run, &*anew.granted));
    let sealed = anew.chain(of_entries).map(|(uid, run, granted)| {
        // Its agent may have become another one since the job was placed.
        let key = write.key.as_ref().ok_or_else(|| Failed::Denied("the node has no key to seal to".to_owned()))?;
        let sealed = seal(granted, key, (&write.node, &write.uid), (uid, run));
        let sealed = sealed.map_err(|error| Failed::Denied(error.to_string()))?;
        Ok((sealed_key(uid, run), sealed))
    });
    sealed.collect()
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
    /// It is not there any more, or cannot be read.
    SetAside,
    /// It cannot be patched, and why.
    Denied(String),
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
            asking.metrics.failed("wasmnode_spec");
            let text = failed.to_string();
            let outcome = match failed {
                // Whoever takes it in says so.
                Failed::Refused(why) | Failed::Denied(why) => return Adoption::Denied(why),
                Failed::Gone => Adoption::SetAside,
                Failed::Test | Failed::Unanswered(_) => Adoption::Again,
            };
            tracing::warn!(node, failed = text, "a node could not be taken over");
            return outcome;
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
    pub(super) async fn event(self, asking: &Asking, node: Arc<str>) -> Option<Event> {
        match self {
            Self::Done(object) => Some(Event::Adopted { node, object: Some(object) }),
            Self::SetAside | Self::Again => Some(Event::Adopted { node, object: None }),
            Self::Denied(why) => {
                let _ = asking.events.send(Event::NodeDenied { node: node.clone(), why }).await;
                Some(Event::Adopted { node, object: None })
            }
            Self::Over => None,
        }
    }
}
