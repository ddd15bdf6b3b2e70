//! The agent's own `WasmNode`: read live, created empty where there is none. What is written to it is `report`'s.

use crds::node::{WasmNode, WasmNodeSpec};
use kube::Api;
use kube::api::PostParams;
use tracing::{info, warn};

use crate::client::{CALL, CallError, chain, within};
use crate::node_meta;

/// The first read: a live GET, or what was created just now, empty (P12, P14). Tried until it succeeds.
pub(crate) async fn first_read(api: &Api<WasmNode>, node: &str) -> WasmNode {
    loop {
        match get_or_create(api, node).await {
            Ok(Some(found)) => return found,
            Ok(None) => {}
            Err(error) => warn!(error = chain(&error), "failed to read this node's WasmNode; trying again"),
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

/// `None`: somebody else created it just now.
async fn get_or_create(api: &Api<WasmNode>, node: &str) -> Result<Option<WasmNode>, CallError> {
    if let Some(found) = within(CALL, api.get_opt(node)).await? {
        return Ok(Some(found));
    }
    let empty = WasmNode { metadata: node_meta::of(node), spec: WasmNodeSpec::default(), status: None };
    match within(CALL, api.create(&PostParams::default(), &empty)).await {
        Ok(created) => {
            info!("created this node's WasmNode");
            Ok(Some(created))
        }
        Err(error) if error.code() == Some(409) => Ok(None),
        Err(error) => Err(error),
    }
}
