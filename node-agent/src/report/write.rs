//! Sending a write, and what its answer means (P5).

use crds::names::AGENT_MANAGER;
use crds::node::WasmNode;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::response::Status;
use serde_json::Value;

use crate::client::{CALL, CallError, chain, within};

/// An answer other than the object as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// It was built on what is not so: read again.
    FailedTest,
    /// Nothing that is built of the same will be accepted (P13).
    Refused { why: String },
    /// There is no such object.
    Gone,
    /// Nobody knows whether it was written: read again, after a while.
    Unknown { why: String },
}

/// Sends one patch of the node's status.
pub(crate) async fn write(api: &Api<WasmNode>, node: &str, operations: Vec<Value>) -> Result<WasmNode, Unwritten> {
    let patch = serde_json::from_value(Value::Array(operations)).expect("these are operations of a JSON patch");
    let parameters = PatchParams { field_manager: Some(AGENT_MANAGER.to_owned()), ..PatchParams::default() };
    within(CALL, api.patch_status(node, &parameters, &Patch::Json::<()>(patch))).await.map_err(|error| meaning(&error))
}

/// P5: 422 without causes is a failed test, with causes a refusal.
fn meaning(error: &CallError) -> Unwritten {
    let status = match error {
        CallError::Answer(kube::Error::Api(status)) => status,
        CallError::Answer(_) | CallError::NoAnswer(_) => return Unwritten::Unknown { why: chain(error) },
    };
    let causes = status.details.as_ref().map_or(0, |details| details.causes.len());
    match status.code {
        404 => Unwritten::Gone,
        409 => Unwritten::FailedTest,
        422 if causes == 0 => Unwritten::FailedTest,
        // Too large, or not to be understood: the same bytes are no better the next time.
        400 | 413 | 422 => Unwritten::Refused { why: said(status) },
        _ => Unwritten::Unknown { why: chain(error) },
    }
}

fn said(status: &Status) -> String {
    status.message.chars().take(500).collect()
}

#[cfg(test)]
mod tests;
