//! The thread from `kubectl apply` to the result in the status: operator and agents as processes on a real control plane.
//!
//! What a spec says is here. What befalls it on the way has files of its own; `stores` has the seam carver with S3 and IPFS.

mod between;
mod denied;
mod disk;
mod faults;
mod gone;
mod guests;
mod inputs;
mod kills;
mod late;
mod names;
mod outages;
mod partition;
mod results;
mod secrets;
mod stage;
mod steps;
mod stores;
mod unreadable;

use serde_json::json;

use self::guests::{ENDLESS, NOTHING, THREE, inline, sleeps};
use self::stage::{Stage, attempts, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_ends_as_its_guest_does_and_leaves_nothing_behind() {
    let stage = Stage::new("ends").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let rows = [
        ("completes", json!({ "module": inline(NOTHING) }), "Completed", Some(0)),
        ("exits", json!({ "module": inline(THREE) }), "GuestExit", Some(3)),
        ("loops", json!({ "module": inline(ENDLESS), "timeoutSeconds": 1 }), "Timeout", Some(124)),
        ("is-none", json!({ "module": { "inline": "AGFzbQ==" } }), "ModuleInvalid", None),
    ];
    for (name, spec, ..) in &rows {
        stage.create(name, spec.clone()).await;
    }
    for (name, _, wanted, exit_code) in rows {
        let (reason, status) = stage.ended(name).await;
        assert_eq!((reason.as_str(), status.output.and_then(|output| output.exit_code)), (wanted, exit_code), "{name}");
        assert_eq!(status.run_generation, Some(1), "{name}");
    }
    stage.settles().await;
    let answered = stage.kubectl(&["get", "wj", "exits", "--no-headers"]);
    let columns: Vec<&str> = answered.stdout.split_whitespace().take(4).collect();
    assert_eq!(columns, ["exits", "GuestExit", "0/1", "3"]);
}

/// Whoever waits for a job waits from its first moment, also when nobody looks at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_waits_also_while_the_operator_is_stopped() {
    let stage = Stage::new("waits").await;
    stage.create("early", json!({ "module": inline(NOTHING) })).await;
    for condition in ["Finished", "Complete", "Failed", "Ready"] {
        let waited = stage.kubectl(&["wait", &format!("--for=condition={condition}"), "wj/early", "--timeout=300ms"]);
        assert_ne!(waited.code, 0, "{condition}: {waited:?}");
    }
    let status = stage.status("early").await;
    assert_eq!((status.observed_generation, reason(&status).as_str()), (Some(-1), "Pending"), "kstatus: InProgress");
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let waited = stage.kubectl(&["wait", "--for=condition=Complete", "wj/early", "--timeout=120s"]);
    assert_eq!(waited.code, 0, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_as_often_as_the_spec_says() {
    let stage = Stage::new("retries").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let spec = json!({ "module": inline(THREE), "backoffLimit": 2, "retryBackoff": { "initialSeconds": 0 } });
    stage.create("thrice", spec).await;
    let (reason, status) = stage.ended("thrice").await;
    assert_eq!(reason, "BackoffLimitExceeded");
    assert_eq!(attempts(&status), [(3, "GuestExit"), (2, "GuestExit"), (1, "GuestExit")]);
    assert_eq!(status.output.and_then(|output| output.exit_code), Some(3));
    stage.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_suspended_resumed_cancelled_and_met_by_its_deadline() {
    let stage = Stage::new("switches").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("paused", json!({ "module": inline(&sleeps(3)) })).await;
    stage.create("stopped", json!({ "module": inline(ENDLESS) })).await;
    stage.create("late", json!({ "module": inline(ENDLESS), "activeDeadlineSeconds": 2 })).await;
    stage.create("asleep", json!({ "module": inline(NOTHING), "suspend": true })).await;
    stage.create("never", json!({ "module": inline(NOTHING), "suspend": true })).await;

    stage.says("paused", "Running").await;
    stage.edit("paused", json!({ "suspend": true })).await;
    let status = stage.says("paused", "Suspended").await;
    assert_eq!((attempts(&status), status.retries[0].free), (vec![(1, "Cancelled")], 1));
    stage.edit("paused", json!({ "suspend": false })).await;
    let (reason_of_paused, status) = stage.ended("paused").await;
    assert_eq!((reason_of_paused.as_str(), attempts(&status)[0]), ("Completed", (2, "Completed")));

    stage.says("stopped", "Running").await;
    stage.edit("stopped", json!({ "cancel": true })).await;
    assert_eq!(stage.ended("stopped").await.0, "Cancelled");
    assert_eq!(stage.ended("late").await.0, "DeadlineExceeded");

    stage.says("asleep", "Suspended").await;
    stage.edit("asleep", json!({ "suspend": false })).await;
    assert_eq!(stage.ended("asleep").await.0, "Completed");
    stage.edit("never", json!({ "cancel": true })).await;
    let (reason, status) = stage.ended("never").await;
    assert_eq!((reason.as_str(), status.attempts.len()), ("Cancelled", 0));
    stage.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_job_follows_its_spec_and_is_deleted_when_its_time_is_over() {
    let stage = Stage::new("after").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("done", json!({ "module": inline(NOTHING) })).await;
    let (_, before) = stage.ended("done").await;
    // What would be another run is refused; what is about the object is followed.
    let refused = stage.kubectl(&["patch", "wj/done", "--type=merge", "-p", r#"{"spec":{"args":["x"]}}"#]);
    assert!(refused.stderr.contains("spec.args cannot change once the job has run"), "{refused:?}");
    stage.edit("done", json!({ "suspend": true })).await;
    let look = async || Some(stage.status("done").await).filter(|status| status.observed_generation == Some(2));
    let after = stage.until("the newest spec is seen", look).await;
    assert_eq!((after.completion_time, after.attempts), (before.completion_time, before.attempts));

    stage.edit("done", json!({ "ttlSecondsAfterFinished": 0 })).await;
    stage.until("it is deleted", async || stage.jobs().get_opt("done").await.expect("answered").is_none().then_some(())).await;
    // The same name again is another job.
    stage.create("done", json!({ "module": inline(THREE) })).await;
    assert_eq!(stage.ended("done").await.0, "GuestExit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_no_node_takes_says_why_node_by_node() {
    let stage = Stage::new("unschedulable").await;
    let _operator = stage.operator("a").await;
    stage.create("waits", json!({ "module": inline(NOTHING) })).await;
    let message = async |wanted: &str| {
        let look = async || {
            let status = stage.status("waits").await;
            let scheduled = status.conditions.iter().find(|condition| condition.type_ == "Scheduled")?;
            (scheduled.reason == "Unschedulable" && scheduled.message.contains(wanted)).then_some(())
        };
        stage.until(wanted, look).await;
    };
    message("there are no nodes").await;
    let _agent = stage.agent("n1").await;
    let (_, status) = stage.ended("waits").await;
    assert!(status.conditions.iter().all(|condition| condition.type_ != "Scheduled"));

    // An administrator's switch.
    let node = format!("{}-n1", stage.pool);
    let drain = |on: bool| {
        let patch = format!(r#"{{"spec":{{"unschedulable":{on}}}}}"#);
        let done = stage.cluster.kubectl(&["-n", &stage.pool, "patch", "wjn", &node, "--type=merge", "-p", &patch]).expect("it runs");
        assert_eq!(done.code, 0, "{done:?}");
    };
    drain(true);
    stage.create("drained", json!({ "module": inline(NOTHING) })).await;
    stage.says("drained", "Pending").await;
    let look = async || {
        let status = stage.status("drained").await;
        let scheduled = status.conditions.iter().find(|condition| condition.type_ == "Scheduled")?.message.clone();
        scheduled.contains("spec.unschedulable is true").then_some(())
    };
    stage.until("it says that the node is drained", look).await;
    drain(false);
    assert_eq!(stage.ended("drained").await.0, "Completed");
}
