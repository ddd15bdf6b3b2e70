//! One write as a JSON patch that tests what it builds on (P4). Sends nothing.

use crds::node::Line as _;
use serde_json::{Value, json};

use super::{Batch, Mirror};

/// The patch of a batch onto what the server is believed to have, in the name of `agent`.
///
/// P4: it tests the object's UID and the pair of agent and sequence. A new pod's first write tests the old pair and sets its own.
pub fn operations(mirror: &Mirror, agent: &str, batch: &Batch) -> Vec<Value> {
    let mut operations = vec![
        json!({ "op": "test", "path": "/metadata/uid", "value": mirror.uid }),
        json!({ "op": "test", "path": "/status/agent", "value": mirror.agent }),
        json!({ "op": "test", "path": "/status/sequence", "value": mirror.sequence }),
    ];
    if mirror.agent != agent {
        operations.push(json!({ "op": "replace", "path": "/status/agent", "value": agent }));
    }
    operations.push(json!({ "op": "replace", "path": "/status/sequence", "value": mirror.sequence + 1 }));
    operations.extend(batch.remove.iter().map(|id| json!({ "op": "remove", "path": report_path(id) })));
    operations.extend(batch.reports.iter().map(|(id, report)| json!({ "op": "add", "path": report_path(id), "value": report.line() })));
    if let Some(node) = &batch.node {
        let before = &mirror.node;
        let fields = [
            ("/status/running", json!(node.running), node.running != before.running),
            ("/status/publicKey", json!(node.public_key), node.public_key != before.public_key),
            ("/status/allocatable", json!(node.allocatable), node.allocatable != before.allocatable),
            ("/status/runtime", json!(node.runtime), node.runtime != before.runtime),
            ("/status/conditions", json!([node.ready]), node.ready != before.ready),
        ];
        let changed = fields.into_iter().filter(|(_, _, changed)| *changed);
        operations.extend(changed.map(|(path, value, _)| json!({ "op": "add", "path": path, "value": value })));
    }
    operations
}

/// As RFC 6901 writes a key.
fn report_path(id: &str) -> String {
    format!("/status/reports/{}", id.replace('~', "~0").replace('/', "~1"))
}
