//! The metadata of a node's objects, its Lease and its `WasmNode`: both are named after it and bear its label.

use crds::names::{NODE_LABEL, node_label};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Of a node's new object.
pub(crate) fn of(node: &str) -> ObjectMeta {
    labelled(ObjectMeta { name: Some(node.to_owned()), ..ObjectMeta::default() }, node)
}

/// The same with the node's label, by which the operator finds it.
pub(crate) fn labelled(mut metadata: ObjectMeta, node: &str) -> ObjectMeta {
    metadata.labels.get_or_insert_default().insert(NODE_LABEL.to_owned(), node_label(node));
    metadata
}
