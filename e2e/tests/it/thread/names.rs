//! Nodes with the longest names: longer than a label may be.

use serde_json::json;

use super::guests::{NOTHING, inline};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_long_name_serves_like_any_other() {
    let stage = Stage::new("long-names").await;
    let name = "ip-10-0-0-1.".repeat(15) + "internal";
    let (_operator, agent) = (stage.operator("a").await, stage.agent(&name).await);
    assert!(agent.identity().pod.node.len() > 190);
    stage.create("anywhere", json!({ "module": inline(NOTHING) })).await;
    let (reason, status) = stage.ended("anywhere").await;
    assert_eq!((reason.as_str(), status.attempts[0].node_name.as_ref()), ("Completed", Some(&agent.identity().pod.node)));
    stage.settles().await;
}
