//! Decisions → JSON patches, each of which tests what it builds on (P4); what an answer to one means (P5), and how one that was refused is
//! halved (P13). Pure: sends nothing, reads no clock, draws no fence.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::job::WasmJob;
use crds::node::{AssignedJob, Assignment, Line as _, Sealed, WasmNode};
use kube::ResourceExt as _;
use kube::core::response::Status;
use serde_json::{Value, json};

use crate::action::{NewEntry, NodeWrite, StatusWrite};

/// How a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("a test did not hold: the object changed in between")]
    Test,
    #[error("the object is not there")]
    Gone,
    /// Schema, rule or policy: these bytes are never taken (P13).
    #[error("refused: {0}")]
    Refused(String),
    /// Not for us, or not so: nothing was written.
    #[error("denied: {0}")]
    Denied(String),
    /// Anything else, no answer included: nobody knows whether it was written, or will be.
    #[error("not done: {0}")]
    Unanswered(String),
}

/// The patch of a node's assignments. There is a fence for each that is added; fences never come twice (P1). `sealed` is what their runs are
/// given, by the key under which it lies.
pub fn spec(write: &NodeWrite, fences: impl IntoIterator<Item = String>, sealed: &BTreeMap<String, Sealed>) -> Vec<Value> {
    let mut operations = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": &*write.uid }),
        json!({ "op": "test", "path": "/spec/epoch", "value": write.epoch }),
        json!({ "op": "test", "path": "/spec/sequence", "value": write.sequence }),
        json!({ "op": "replace", "path": "/spec/sequence", "value": write.sequence + 1 }),
    ];
    let path = |id: &str| format!("/spec/assignments/{}", pointer_step(id));
    let added = write.add.iter().zip(fences);
    operations.extend(added.map(|((id, entry), fence)| json!({ "op": "add", "path": path(id), "value": assignment(entry, fence).line() })));
    let cancelled = |(id, line): (&Arc<str>, &Arc<str>)| json!({ "op": "replace", "path": path(id), "value": crds::node::cancelled(line) });
    operations.extend(write.cancel.iter().map(cancelled));
    operations.extend(write.remove.iter().map(|id| json!({ "op": "remove", "path": path(id) })));
    let path = |key: &str| format!("/spec/sealed/{}", pointer_step(key));
    operations.extend(sealed.iter().map(|(key, sealed)| json!({ "op": "add", "path": path(key), "value": sealed.line() })));
    operations.extend(write.unseal.iter().map(|key| json!({ "op": "remove", "path": path(key) })));
    operations
}

fn assignment(entry: &NewEntry, fence: String) -> Assignment {
    Assignment {
        job: AssignedJob {
            namespace: entry.namespace.to_string(),
            name: entry.name.to_string(),
            uid: entry.uid.to_string(),
            run: entry.run,
            generation: entry.generation,
            spec_hash: entry.spec_hash.clone(),
        },
        attempt: entry.attempt,
        fence,
        indexes: "0".to_owned(),
        cancel: false,
        read_as: None,
    }
}

/// The patch that changes nothing but the sequence: after it, an earlier write that tests what this one tests can no longer arrive (P5).
pub fn barrier(write: &NodeWrite) -> Vec<Value> {
    spec(&write.unchanging(), [], &BTreeMap::new())
}

/// The patch by which a node, as it was read live, becomes a leader's (P8).
pub fn adoption(node: &WasmNode, epoch: i64) -> Vec<Value> {
    vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": node.uid() }),
        json!({ "op": "test", "path": "/spec/epoch", "value": node.spec.epoch }),
        json!({ "op": "test", "path": "/spec/sequence", "value": node.spec.sequence }),
        json!({ "op": "replace", "path": "/spec/epoch", "value": epoch }),
        json!({ "op": "replace", "path": "/spec/sequence", "value": node.spec.sequence + 1 }),
    ]
}

/// The patch of a job's status against the version it was made from.
pub fn status(write: &StatusWrite) -> Vec<Value> {
    vec![
        json!({ "op": "test", "path": "/metadata/resourceVersion", "value": write.resource_version.to_string() }),
        json!({ "op": "add", "path": "/status", "value": write.status }),
    ]
}

/// The patch that says in the status of a job that has ended, as it was read live, that its newest spec was seen. Nothing else of the end
/// changes (P9).
pub fn follow(job: &WasmJob) -> Vec<Value> {
    let generation = job.metadata.generation.unwrap_or_default();
    let mut operations = vec![
        json!({ "op": "test", "path": "/metadata/resourceVersion", "value": job.resource_version() }),
        json!({ "op": "add", "path": "/status/observedGeneration", "value": generation }),
    ];
    let conditions = job.status.iter().flat_map(|status| &status.conditions).enumerate();
    operations.extend(conditions.map(
        |(position, _)| json!({ "op": "add", "path": format!("/status/conditions/{position}/observedGeneration"), "value": generation }),
    ));
    operations
}

/// The halves of a write that was refused; of one that cannot be halved, the entry that was refused. Not for one that
/// adds nothing: whoever refuses that refuses every write of the node.
///
/// # Errors
/// The entry.
pub fn bisect(mut write: NodeWrite) -> Result<Vec<NodeWrite>, NewEntry> {
    let mut of_adds = NodeWrite { add: std::mem::take(&mut write.add), ..write.unchanging() };
    if !write.is_empty() {
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

/// A key as one step of a JSON pointer (RFC 6901).
fn pointer_step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

// === impl Failed ===

impl Failed {
    /// 422 without causes is a failed test; with causes a refusal, as is 413 (P5).
    pub fn of(status: &Status) -> Self {
        let has_causes = status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
        match status.code {
            404 => Self::Gone,
            409 => Self::Test,
            422 if !has_causes => Self::Test,
            413 | 422 => Self::Refused(status.message.clone()),
            code @ 400..429 if code != 408 => Self::Denied(format!("{code}: {}", status.message)),
            _ => Self::Unanswered(format!("{}: {}", status.code, status.message)),
        }
    }
}

#[cfg(test)]
mod tests;
