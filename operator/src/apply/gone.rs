//! What is left of a node whose Node is gone: deleted, each in the version that was decided upon (P14).

use std::sync::Arc;

use crds::node::WasmNode;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt as _};

use super::{Asking, REQUEST, read};
use crate::observe::resource_version;
use crate::state::Event;

/// Deletes the object and then the Lease, if the Node is not there. What has changed since stays, and is looked at again.
pub(super) async fn forget(asking: &Asking, node: Arc<str>, object: Option<(Arc<str>, u64)>, lease: Option<u64>) -> Event {
    let kube_nodes: Api<Node> = Api::all(asking.client.clone());
    // Silence of a watch proves nothing.
    if read(|| kube_nodes.get_metadata_opt(&node)).await.is_some() {
        return Event::Forgotten { node };
    }
    let is_deleted = match object {
        Some((uid, version)) => {
            let nodes: Api<WasmNode> = Api::namespaced(asking.client.clone(), &asking.pool);
            let parameters = of_version(uid.to_string(), version);
            deleted(asking, "wasmnode_delete", nodes.delete(&node, &parameters)).await
        }
        None => true,
    };
    if let Some(version) = lease.filter(|_| is_deleted) {
        let leases: Api<Lease> = Api::namespaced(asking.client.clone(), &asking.pool);
        let found = read(|| leases.get_opt(&node)).await;
        let found = found.filter(|found| resource_version(found.metadata.resource_version.as_deref()) == Some(version));
        if let Some(uid) = found.and_then(|found| found.uid()) {
            let parameters = of_version(uid, version);
            deleted(asking, "lease_delete", leases.delete(&node, &parameters)).await;
        }
    }
    Event::Forgotten { node }
}

fn of_version(uid: String, version: u64) -> DeleteParams {
    let conditions = Preconditions { uid: Some(uid), resource_version: Some(version.to_string()) };
    DeleteParams { preconditions: Some(conditions), ..DeleteParams::background() }
}

async fn deleted<T>(asking: &Asking, kind: &str, asked: impl Future<Output = kube::Result<T>>) -> bool {
    asking.metrics.write(kind);
    let is_deleted = matches!(tokio::time::timeout(REQUEST, asked).await, Ok(Ok(_)));
    if !is_deleted {
        asking.metrics.failed(kind);
    }
    is_deleted
}
