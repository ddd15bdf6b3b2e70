//! Whoever dies or hangs on the way: operator and agents killed, stopped past their leases, two at once; jobs and namespaces deleted.

use std::time::Duration;

use kube::api::DeleteParams;
use rustix::process::Signal;
use serde_json::json;

use super::guests::{ENDLESS, NOTHING, inline, sleeps};
use super::stage::{Stage, attempts, signal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_is_followed_by_another_and_nothing_runs_twice() {
    let stage = Stage::new("follows").await;
    let (first, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    for number in 0..4 {
        stage.create(&format!("sleeps-{number}"), json!({ "module": inline(&sleeps(4)) })).await;
    }
    stage.says("sleeps-0", "Running").await;
    signal(&first, Signal::KILL);
    stage.create("meanwhile", json!({ "module": inline(NOTHING) })).await;
    let _second = stage.operator("b").await;
    for name in ["sleeps-0", "sleeps-1", "sleeps-2", "sleeps-3", "meanwhile"] {
        let (reason, status) = stage.ended(name).await;
        assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]), "{name}");
    }
    stage.settles().await;
}

/// Stopped past its Lease, it comes back as a former leader: what it writes late has no effect (I6).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_was_stopped_past_its_lease_gives_way() {
    let stage = Stage::new("zombie").await;
    let (mut first, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("before", json!({ "module": inline(&sleeps(2)) })).await;
    stage.says("before", "Running").await;
    signal(&first, Signal::STOP);
    let second = stage.operator("b").await;
    stage.until("the second leads", async || second.said().contains("everything is in view").then_some(())).await;
    stage.create("between", json!({ "module": inline(NOTHING) })).await;
    signal(&first, Signal::CONT);
    for name in ["before", "between"] {
        let (reason, status) = stage.ended(name).await;
        assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]), "{name}");
    }
    stage.until("the first ends", async || first.still_running().is_err().then_some(())).await;
    stage.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_killed_costs_no_retry() {
    let stage = Stage::new("restarts").await;
    let (_operator, agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("sleeps", json!({ "module": inline(&sleeps(3)) })).await;
    stage.says("sleeps", "Running").await;
    signal(&agent, Signal::KILL);
    let identity = agent.identity().clone();
    drop(agent);
    let _again = stage.agent_as(&identity);
    let (reason, status) = stage.ended("sleeps").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(2, "Completed"), (1, "AgentRestarted")]));
    stage.settles().await;
}

/// Its guests have killed themselves before anything of it is given away (P10, P11): the one that writes to the server is silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_work_of_a_node_that_hangs_is_done_by_another() {
    let stage = Stage::new("lost").await;
    let (_operator, first, second) = (stage.operator("a").await, stage.agent("n1").await, stage.agent("n2").await);
    stage.create("sleeps", json!({ "module": inline(&sleeps(6)) })).await;
    let status = stage.says("sleeps", "Running").await;
    let hung = if status.conditions[0].message.contains("-n1") { &first } else { &second };
    signal(hung, Signal::STOP);
    let (reason, status) = stage.ended("sleeps").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(2, "Completed"), (1, "NodeLost")]));
    let nodes: Vec<_> = status.attempts.iter().map(|attempt| attempt.node_name.clone()).collect();
    assert_ne!(nodes[0], nodes[1]);
    signal(hung, Signal::CONT);
    stage.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_agent_gives_its_work_back_for_free() {
    let mut stage = Stage::new("drains").await;
    stage.agent_flags = vec!["--drain-seconds".to_owned(), "1".to_owned()];
    let (_operator, first) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("sleeps", json!({ "module": inline(&sleeps(5)) })).await;
    stage.says("sleeps", "Running").await;
    let _second = stage.agent("n2").await;
    first.stop(Duration::from_mins(1)).expect("it ends by itself");
    let (reason, status) = stage.ended("sleeps").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(2, "Completed"), (1, "Disrupted")]));
    assert_eq!(status.attempts[0].node_name.as_deref(), Some(format!("{}-n2", stage.pool).as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_do_the_work_of_one() {
    let stage = Stage::new("both").await;
    let (_first, _second, _agent) = (stage.operator("a").await, stage.operator("b").await, stage.agent("n1").await);
    for number in 0..20 {
        stage.create(&format!("job-{number}"), json!({ "module": inline(NOTHING) })).await;
    }
    for number in 0..20 {
        let (reason, status) = stage.ended(&format!("job-{number}")).await;
        assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]));
    }
    stage.settles().await;
}

/// Deleted while it runs and made again under its name, while the operator sees neither: another object is another job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_deleted_ends_also_while_the_operator_is_down() {
    let stage = Stage::new("deleted").await;
    let (first, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    for name in ["gone", "again"] {
        stage.create(name, json!({ "module": inline(ENDLESS) })).await;
        stage.says(name, "Running").await;
    }
    signal(&first, Signal::KILL);
    for name in ["gone", "again"] {
        stage.jobs().delete(name, &DeleteParams::default()).await.expect("deleted");
    }
    stage.create("again", json!({ "module": inline(NOTHING) })).await;
    let _second = stage.operator("b").await;
    assert_eq!(stage.ended("again").await.0, "Completed");
    stage.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_deleted_takes_its_jobs_along() {
    let stage = Stage::new("namespace").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("endless", json!({ "module": inline(ENDLESS) })).await;
    stage.says("endless", "Running").await;
    let deleted = stage.cluster.kubectl(&["delete", "namespace", &stage.namespace, "--timeout=120s"]).expect("it runs");
    assert_eq!(deleted.code, 0, "{deleted:?}");
    stage.settles().await;
}

/// Labels, and what of the spec is about how to run, may change while it runs; the run goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_while_it_runs_do_not_disturb_it() {
    let stage = Stage::new("edits").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("sleeps", json!({ "module": inline(&sleeps(3)) })).await;
    stage.says("sleeps", "Running").await;
    let labelled = stage.kubectl(&["label", "wj/sleeps", "team=a"]);
    assert_eq!(labelled.code, 0, "{labelled:?}");
    stage.edit("sleeps", json!({ "backoffLimit": 5, "ttlSecondsAfterFinished": 3600 })).await;
    let (reason, status) = stage.ended("sleeps").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]));
    assert_eq!(status.observed_generation, Some(2));
}
