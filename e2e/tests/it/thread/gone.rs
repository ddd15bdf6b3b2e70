//! Machines that are taken out of the cluster: what is left of them goes, and only of them (P14).

use std::process::Command;

use crds::names::{OPERATOR_ACCOUNT, SYSTEM_NAMESPACE};
use e2e::cluster::Running;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::DeleteParams;
use rustix::process::Signal;
use serde_json::json;

use super::guests::{inline, sleeps};
use super::stage::{Stage, attempts, signal};

/// An operator for which a Node is gone for good after a second.
async fn impatient(stage: &Stage<'_>) -> Running {
    let node = format!("{}-control", stage.pool);
    stage.cluster.node(&node).await.expect("a node");
    let identity = stage.cluster.identity(&node, SYSTEM_NAMESPACE, OPERATOR_ACCOUNT, &node).await.expect("an identity");
    let mut command = Command::new(e2e::built("wasmjob-operator").expect("it is built"));
    command.env_clear().args(["--namespace", &stage.pool, "--serve-namespace", &stage.namespace, "--listen", "127.0.0.1:0"]);
    command.args(["--node-lost-seconds", "8", "--node-gone-seconds", "1"]).arg("--kubeconfig").arg(&identity.kubeconfig);
    stage.cluster.run(identity, command).expect("it starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_node_that_is_gone_goes_when_nothing_of_it_runs() {
    let stage = Stage::new("gone").await;
    let (_operator, first, second) = (impatient(&stage).await, stage.agent("n1").await, stage.agent("n2").await);
    stage.create("sleeps", json!({ "module": inline(&sleeps(6)) })).await;
    let status = stage.says("sleeps", "Running").await;
    let on_first = status.conditions[0].message.contains("-n1");
    let (lost, other) = if on_first { (&first, &second) } else { (&second, &first) };
    let (gone, stays) = (lost.identity().pod.node.clone(), other.identity().pod.node.clone());
    let kube_nodes: Api<Node> = Api::all(stage.client.clone());
    kube_nodes.delete(&gone, &DeleteParams::default()).await.expect("deleted");
    // Its agent lives, renews its Lease and runs a guest: nothing is taken from it.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(stage.nodes().get_opt(&gone).await.expect("answered").is_some());
    signal(lost, Signal::KILL);
    let (reason, status) = stage.ended("sleeps").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(2, "Completed"), (1, "NodeLost")]));
    let leases: Api<Lease> = Api::namespaced(stage.client.clone(), &stage.pool);
    let is_gone = async || {
        let left = (stage.nodes().get_opt(&gone).await.expect("answered"), leases.get_opt(&gone).await.expect("answered"));
        matches!(left, (None, None)).then_some(())
    };
    stage.until("its WasmNode and its Lease go", is_gone).await;
    assert!(stage.nodes().get_opt(&stays).await.expect("answered").is_some());
    stage.settles().await;
}
