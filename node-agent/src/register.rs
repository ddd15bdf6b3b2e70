//! The agent's own `WasmNode`: read live, created empty where there is none. What is written to it is `report`'s.

use crds::node::{WasmNode, WasmNodeSpec};
use kube::Api;
use kube::api::PostParams;
use tracing::{info, warn};

use crate::client::{CALL, CallError, chain, within};
use crate::metrics::{Metrics, outcome};
use crate::node_meta;

/// The first read: a live GET, or what was created just now, empty (P12, P14). Tried until it succeeds.
pub(crate) async fn first_read(api: &Api<WasmNode>, node: &str, metrics: &Metrics) -> WasmNode {
    loop {
        match get_or_create(api, node, metrics).await {
            Ok(Some(found)) => return found,
            Ok(None) => {}
            Err(error) => warn!(error = chain(&error), "failed to read this node's WasmNode; trying again"),
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

/// `None`: somebody else created it just now.
async fn get_or_create(api: &Api<WasmNode>, node: &str, metrics: &Metrics) -> Result<Option<WasmNode>, CallError> {
    if let Some(found) = within(CALL, api.get_opt(node)).await? {
        return Ok(Some(found));
    }
    let empty = WasmNode { metadata: node_meta::of(node), spec: WasmNodeSpec::default(), status: None };
    let created = within(CALL, api.create(&PostParams::default(), &empty)).await;
    metrics.wrote("WasmNode", outcome(&created));
    match created {
        Ok(created) => {
            info!("created this node's WasmNode");
            Ok(Some(created))
        }
        Err(error) if error.code() == Some(409) => Ok(None),
        Err(error) => Err(error),
    }
}
