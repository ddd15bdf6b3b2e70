//! Faults of the API server itself: away for a while, and put back to an earlier state. Each test has a control plane of its own.

use std::time::Duration;

use e2e::Cluster;
use e2e::cluster::Options;
use serde_json::json;

use super::guests::{NOTHING, inline, sleeps};
use super::stage::{PATIENCE, Stage, attempts};

async fn cluster() -> Cluster {
    let cluster = Cluster::start(Options { fsync: false, ..Options::default() }).await.expect("a cluster");
    cluster.install().await.expect("installed");
    cluster
}

/// Longer than an agent's guests may live without its Lease: they end, and nothing of it is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_away_loses_no_job() {
    let mut cluster = cluster().await;
    let (operator, agent, identities) = {
        let stage = Stage::on(&cluster, "away").await;
        let (operator, agent) = (stage.operator("a").await, stage.agent("n1").await);
        stage.create("before", json!({ "module": inline(NOTHING) })).await;
        stage.ended("before").await;
        stage.create("during", json!({ "module": inline(&sleeps(30)) })).await;
        stage.says("during", "Running").await;
        let identities = (operator.identity().clone(), agent.identity().clone());
        (operator, agent, identities)
    };
    cluster.stop_api_server();
    tokio::time::sleep(Duration::from_secs(12)).await;
    cluster.start_api_server().await.expect("it starts again");
    let stage = Stage::on(&cluster, "away").await;
    // What ended because it lost the lead or its node is started anew, as a kubelet would.
    let (mut operator, mut agent) = (operator, agent);
    let begun = std::time::Instant::now();
    loop {
        if operator.still_running().is_err() {
            operator = stage.operator_as(&identities.0);
        }
        if agent.still_running().is_err() {
            agent = stage.agent_as(&identities.1);
        }
        let status = stage.status("during").await;
        if !attempts(&status).is_empty() {
            let (attempt, reason) = attempts(&status)[attempts(&status).len() - 1];
            assert!(attempt == 1 && matches!(reason, "WorkerKilled" | "AgentRestarted" | "NodeLost"), "{attempt} {reason}");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:?}\n{}\n{}", operator.said(), agent.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage.edit("during", json!({ "cancel": true })).await;
    stage.create("after", json!({ "module": inline(NOTHING) })).await;
    assert_eq!(stage.ended("after").await.0, "Completed");
    assert_eq!(stage.ended("during").await.0, "Cancelled");
    assert_eq!(attempts(&stage.status("before").await), [(1, "Completed")]);
}

/// What was done after the snapshot is forgotten by the API server, not by the agent: its journal answers (P12), and operators that saw
/// more begin again (P15).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_noticed_and_every_job_ends() {
    let mut cluster = cluster().await;
    let (operator, agent) = {
        let stage = Stage::on(&cluster, "restored").await;
        let (operator, agent) = (stage.operator("a").await, stage.agent("n1").await);
        stage.create("old", json!({ "module": inline(NOTHING) })).await;
        stage.ended("old").await;
        stage.create("amid", json!({ "module": inline(&sleeps(2)) })).await;
        stage.says("amid", "Running").await;
        (operator, agent)
    };
    let snapshot = cluster.snapshot().await.expect("a snapshot");
    {
        let stage = Stage::on(&cluster, "restored").await;
        stage.ended("amid").await;
        stage.create("new", json!({ "module": inline(NOTHING) })).await;
        stage.ended("new").await;
    }
    cluster.restore(&snapshot).await.expect("restored");
    let stage = Stage::on(&cluster, "restored").await;
    let identities = (operator.identity().clone(), agent.identity().clone());
    let (mut operator, mut agent) = (operator, agent);
    let begun = std::time::Instant::now();
    loop {
        if operator.still_running().is_err() {
            operator = stage.operator_as(&identities.0);
        }
        if agent.still_running().is_err() {
            agent = stage.agent_as(&identities.1);
        }
        let status = stage.status("amid").await;
        if status.is_finished() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:?}\n{}\n{}", operator.said(), agent.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage.create("later", json!({ "module": inline(NOTHING) })).await;
    assert_eq!(stage.ended("later").await.0, "Completed");
    assert_eq!(stage.ended("amid").await.0, "Completed");
}
