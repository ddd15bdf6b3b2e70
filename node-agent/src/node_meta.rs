//! The metadata of a node's objects, its Lease and its `WasmNode`: both are named after it.

use std::collections::BTreeMap;

use crds::names::NODE_LABEL;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Longest value of a label; node names may be longer.
const LABEL_VALUE: usize = 63;

/// Of a node's new object.
pub(crate) fn of(node: &str) -> ObjectMeta {
    let label = (node.len() <= LABEL_VALUE).then(|| BTreeMap::from([(NODE_LABEL.to_owned(), node.to_owned())]));
    ObjectMeta { name: Some(node.to_owned()), labels: label, ..ObjectMeta::default() }
}
