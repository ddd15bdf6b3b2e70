//! Faults of the API server itself: away for a while, and put back to an earlier state. Each test has a control plane of its own.

use std::time::{Duration, Instant};

use crds::status::WasmJobStatus;
use e2e::Cluster;
use e2e::cluster::{Options, Running};
use serde_json::json;

use super::guests::{NOTHING, WAITS, inline, sleeps, the_word};
use super::stage::{PATIENCE, Stage, attempts, reason};
use crate::processes::{busiest, is_alive};

/// How long the API server is away.
const AWAY: Duration = Duration::from_mins(1);

async fn cluster() -> Cluster {
    let cluster = Cluster::start(Options { fsync: false, ..Options::default() }).await.expect("a cluster");
    cluster.install().await.expect("installed");
    cluster
}

/// Starts anew what ended because it lost the lead or its node, as a kubelet would, until the job has ended.
async fn ends(stage: &Stage<'_>, operator: &mut Running, agent: &mut Running, job: &str) -> WasmJobStatus {
    let identities = (operator.identity().clone(), agent.identity().clone());
    let begun = Instant::now();
    loop {
        if operator.still_running().is_err() {
            *operator = stage.operator_as(&identities.0);
        }
        if agent.still_running().is_err() {
            *agent = stage.agent_as(&identities.1);
        }
        let status = stage.status(job).await;
        if status.is_finished() {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:?}\n{}\n{}", operator.said(), agent.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// As long as users have it by default: twenty seconds of guests' lives, thirty until a node is given up. What ends in time is reported
/// afterwards, what does not is ended and run anew, and none of it is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_away_for_a_minute_loses_no_job() {
    let mut cluster = cluster().await;
    let (mut operator, mut agent) = {
        let stage = Stage { as_users: true, ..Stage::on(&cluster, "away").await };
        let (operator, agent) = (stage.operator("a").await, stage.agent("n1").await);
        stage.create("before", json!({ "module": inline(NOTHING) })).await;
        stage.ended("before").await;
        stage.word("wait").await;
        stage.create("long", json!({ "module": inline(WAITS), "stdin": the_word() })).await;
        stage.create("short", json!({ "module": inline(&sleeps(6)) })).await;
        for job in ["long", "short"] {
            stage.says(job, "Running").await;
        }
        stage.word("go").await;
        (operator, agent)
    };
    let guest = busiest(agent.id()).await.expect("the long one is at work");
    cluster.stop_api_server();
    let stopped = Instant::now();
    while is_alive(guest) {
        assert!(stopped.elapsed() < AWAY, "it outlives its node's Lease");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(AWAY.saturating_sub(stopped.elapsed())).await;
    cluster.start_api_server().await.expect("it starts again");
    let stage = Stage { as_users: true, ..Stage::on(&cluster, "away").await };
    for (job, expected) in [("short", &[(1, "Completed")][..]), ("long", &[(2, "Completed"), (1, "AgentRestarted")])] {
        let status = ends(&stage, &mut operator, &mut agent, job).await;
        assert_eq!((reason(&status).as_str(), attempts(&status)), ("Completed", expected.to_vec()), "{job}");
    }
    stage.create("after", json!({ "module": inline(NOTHING) })).await;
    let status = ends(&stage, &mut operator, &mut agent, "after").await;
    assert_eq!(reason(&status), "Completed");
    assert_eq!(attempts(&stage.status("before").await), [(1, "Completed")]);
    stage.settles().await;
    assert_eq!(stage.started("n1"), 5, "guests that were started");
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
    let (mut operator, mut agent) = (operator, agent);
    let amid = ends(&stage, &mut operator, &mut agent, "amid").await;
    assert_eq!(reason(&amid), "Completed");
    stage.create("later", json!({ "module": inline(NOTHING) })).await;
    assert_eq!(stage.ended("later").await.0, "Completed");
}
