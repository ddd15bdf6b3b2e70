//! What is left of a node whose Node is gone: deleted, each in the version that was decided upon (P14).

use std::sync::Arc;

use crds::node::WasmNode;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _};

use super::{Asking, deleted, read};
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
            deleted(asking, "wasmnode_delete", &nodes, &node, &uid, version).await
        }
        None => true,
    };
    if let Some(version) = lease.filter(|_| is_deleted) {
        let leases: Api<Lease> = Api::namespaced(asking.client.clone(), &asking.pool);
        let found = read(|| leases.get_opt(&node)).await;
        let found = found.filter(|found| resource_version(found.metadata.resource_version.as_deref()) == Some(version));
        if let Some(uid) = found.and_then(|found| found.uid()) {
            deleted(asking, "lease_delete", &leases, &node, &uid, version).await;
        }
    }
    Event::Forgotten { node }
}
