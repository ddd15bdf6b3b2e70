//! What an agent makes of faults: kill -9, SIGTERM, SIGSTOP past its Lease, a second agent, an object that vanishes, a restored backup.

use std::time::{Duration, Instant};

use crds::names::{OPERATOR_ACCOUNT, SYSTEM_NAMESPACE};
use crds::node::WasmNode;
use e2e::cluster::Running;
use kube::Api;
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::stage::{ENDLESS, HELLO, PATIENCE, Stage, inline, ready_status};
use crate::processes::is_busy;

/// Timings with which a test sees a lapse.
const FAST: [&str; 8] = ["--renew-seconds", "0.5", "--fence-seconds", "5", "--kill-seconds", "1", "--lease-seconds", "7"];

fn signal(agent: &Running, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(agent.id()).expect("a process id")).expect("not 0");
    kill_process(id, signal).expect("it is there");
}

async fn runs_what_comes_later(stage: &mut Stage, name: &str) {
    let id = stage.run(name, json!({ "module": inline(HELLO) })).await;
    assert_eq!(stage.ended(&id).await.0, "Completed");
}

/// P12: of what a restarted agent finds, nothing is started: what ran, what had ended and what came meanwhile are each told apart.
#[tokio::test]
async fn a_killed_agent_starts_nothing_that_it_finds() {
    let mut stage = Stage::new("killed").await;
    let identity = stage.identity("only").await;
    let agent = stage.start(&identity, &[]);
    stage.ready().await;
    let ended = stage.run("ended", json!({ "module": inline(HELLO) })).await;
    let before = stage.ended(&ended).await;
    let ran = stage.run("ran", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&ran).await;
    drop(agent);
    let meanwhile = stage.run("meanwhile", json!({ "module": inline(HELLO) })).await;

    let agent = stage.start(&identity, &[]);
    assert_eq!(stage.ended(&ran).await.0, "AgentRestarted");
    assert_eq!(stage.ended(&meanwhile).await.0, "Disrupted");
    assert_eq!(stage.ended(&ended).await, before);
    runs_what_comes_later(&mut stage, "later").await;
    assert!(!is_busy(agent.id()).await, "the endless guest is not started again");

    // And once more without a journal: nobody knows what ran.
    drop(agent);
    std::fs::remove_file(stage.state.path().join("journal")).expect("it was there");
    let unknown = stage.run("unknown", json!({ "module": inline(HELLO) })).await;
    let _agent = stage.start(&identity, &[]);
    assert_eq!(stage.ended(&unknown).await.0, "AgentRestarted");
    assert_eq!(stage.ended(&ended).await, before);
}

#[tokio::test]
async fn a_drained_agent_gives_its_work_and_its_lease_back() {
    let mut stage = Stage::new("drained").await;
    let identity = stage.identity("only").await;
    let mut agent = stage.start(&identity, &["--drain-seconds", "2", "--slots", "1"]);
    stage.ready().await;
    let running = stage.run("running", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&running).await;
    let waiting = stage.run("waiting", json!({ "module": inline(HELLO) })).await;
    agent.ask_to_end().expect("it is asked");
    assert_eq!(stage.ended(&waiting).await.0, "Disrupted");
    let draining = stage.node().await.expect("it is there");
    assert_eq!(ready_status(&draining), Some("False"), "{draining:?}");
    assert_eq!(stage.ended(&running).await.0, "Disrupted");
    agent.stop(PATIENCE).expect("it ends");
    let holder = stage.lease().await.expect("it is there").spec.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.unwrap_or_default(), "");
}

/// P11, P12: a stopped agent's guests die by themselves when its Lease has lapsed, and the agent that wakes up begins anew.
#[tokio::test]
async fn a_stopped_agents_guests_end_with_its_lease() {
    let mut stage = Stage::new("stopped").await;
    let identity = stage.identity("only").await;
    let agent = stage.start(&identity, &FAST);
    stage.ready().await;
    let id = stage.run("endless", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&id).await;
    stage.until("the guest is at work", async || is_busy(agent.id()).await.then_some(())).await;
    signal(&agent, Signal::STOP);
    stage.until("nobody but itself ends it", async || (!is_busy(agent.id()).await).then_some(())).await;
    signal(&agent, Signal::CONT);
    assert_eq!(stage.ended(&id).await.0, "AgentRestarted");
    runs_what_comes_later(&mut stage, "later").await;
}

/// P12: the Lease's holder is the pod; another one on the same node waits.
#[tokio::test]
async fn a_second_agent_on_a_node_waits_for_the_first() {
    let mut stage = Stage::new("second").await;
    let (one, two) = (stage.identity("one").await, stage.identity("two").await);
    let first = stage.start(&one, &FAST);
    stage.ready().await;
    let elsewhere = tempfile::tempdir().expect("a folder");
    let second = stage.start_in(elsewhere.path(), &two, &FAST);
    let id = stage.run("endless", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&id).await;
    // Longer than the time after which an unrenewed Lease is taken.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let writer = async || stage.node().await.and_then(|node| node.status).expect("a status").agent;
    assert_eq!(writer().await, one.pod.uid, "{}", second.said());
    let killed = Instant::now();
    drop(first);
    stage.until("the second takes over", async || (writer().await == two.pod.uid).then_some(())).await;
    assert!(killed.elapsed() >= Duration::from_secs(3), "not before the first one's guests are dead: {:?}", killed.elapsed());
    assert_eq!(stage.ended(&id).await.0, "AgentRestarted");
    runs_what_comes_later(&mut stage, "later").await;
}

/// P14: the workers are dead before there is a new object; endings that nobody has seen are in it.
#[tokio::test]
async fn an_object_that_vanishes_is_made_anew_and_empty() {
    let mut stage = Stage::new("vanished").await;
    let identity = stage.identity("only").await;
    let agent = stage.start(&identity, &[]);
    let old = stage.ready().await.metadata.uid;
    let ended = stage.run("ended", json!({ "module": inline(HELLO) })).await;
    stage.ended(&ended).await;
    let running = stage.run("running", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&running).await;

    // The policy lets nobody else.
    let operator = stage.cluster.client_on(SYSTEM_NAMESPACE, OPERATOR_ACCOUNT, &stage.node).await.expect("a client");
    let nodes: Api<WasmNode> = Api::namespaced(operator, &stage.namespace);
    nodes.delete(&stage.node, &DeleteParams::default()).await.expect("deleted");
    let new = stage.until("there is another one", async || stage.node().await.filter(|node| node.metadata.uid != old)).await;
    assert!(new.spec.assignments.is_empty());
    stage.until("the endless guest is dead", async || (!is_busy(agent.id()).await).then_some(())).await;
    assert_eq!(stage.ended(&ended).await.0, "Completed");
    assert_eq!(stage.report(&running).await, None);
    runs_what_comes_later(&mut stage, "later").await;
}

/// P15, and P12's journal: what ended since the backup was made is answered with its old report.
#[tokio::test]
async fn a_restored_backup_brings_nothing_back_to_life() {
    let mut stage = Stage::alone("restored").await;
    let identity = stage.identity("only").await;
    let agent = stage.start(&identity, &[]);
    stage.ready().await;
    let id = stage.run("endless", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&id).await;
    let snapshot = stage.own().snapshot().await.expect("copied");
    stage.until("the API server answers", async || stage.nodes().get(&stage.node).await.ok()).await;
    stage.cancel(&id).await;
    let before = stage.ended(&id).await;
    assert_eq!(before.0, "Cancelled");
    stage.release(&id).await;
    stage.forgotten(&id).await;

    stage.own().restore(&snapshot).await.expect("put back");
    stage.until("the API server answers", async || stage.nodes().get(&stage.node).await.ok()).await;
    assert_eq!(stage.ended(&id).await, before);
    assert!(agent.said().contains("back in time"), "{}", agent.said());
    runs_what_comes_later(&mut stage, "later").await;
}
