//! The operator killed at each of its writes: before the API server sees it, and after, when its answer is on its way. Whichever write it
//! was, the next operator ends what was begun, and everything counts once. The agent's own steps are in `thread/steps.rs`.

use std::collections::BTreeSet;
use std::pin::pin;

use e2e::cluster::{Asked, Fate};
use serde_json::{Value, json};

use super::guests::{THREE, inline, sleeps};
use super::stage::{Stage, attempts};

/// A job, and what becomes of it when nobody is killed.
struct Life {
    spec: Value,
    reason: &'static str,
    /// Newest first.
    attempts: &'static [(i32, &'static str)],
    stdout: &'static str,
}

/// What a write of the operator does: method, resource and, where that says too little, a word.
pub(super) fn what(asked: &Asked) -> String {
    let ends = |change: &Value| change["value"]["completionTime"].is_string();
    let changes = [
        ("adopts", asked.patches("replace", "/spec/epoch")),
        ("assigns", asked.patches("add", "/spec/assignments/")),
        ("releases", asked.patches("remove", "/spec/assignments/")),
        ("follows", asked.patches("add", "/status/observedGeneration")),
        ("ends", asked.body().as_array().is_some_and(|changes| changes.iter().any(ends))),
    ];
    let does = changes.into_iter().find(|(_, does)| *does).map(|(does, _)| format!(" {does}"));
    format!("{}{}", asked.what(), does.unwrap_or_default())
}

/// Waits until the job has had its whole life and is deleted, and checks that everything counted once.
async fn lives(stage: &Stage<'_>, name: &str, life: &Life) {
    let before = stage.started("n1");
    let (reason, status) = stage.ended(name).await;
    assert_eq!((reason.as_str(), attempts(&status)), (life.reason, life.attempts.to_vec()), "{name}");
    assert_eq!(status.output.as_ref().map(|output| output.stdout_tail.as_str()), Some(life.stdout), "{name}");
    stage.settles().await;
    assert_eq!(stage.started("n1") - before, life.attempts.len(), "{name}: guests that were started");
    stage.edit(name, json!({ "ttlSecondsAfterFinished": 0 })).await;
    stage.until("it is deleted", async || stage.jobs().get_opt(name).await.expect("answered").is_none().then_some(())).await;
}

/// Has no fate for anything but the write of that number, from 0.
fn only(number: usize, fate: Fate) -> impl FnMut(&Asked) -> Fate + Send + 'static {
    let mut seen = 0;
    move |asked| {
        let is_it = asked.is_write() && seen == number;
        seen += usize::from(asked.is_write());
        if is_it { fate } else { Fate::Pass }
    }
}

/// Kills the operator at one write of a job's life, in the next job's life at the next but one, and so on until there are no more; the
/// others are another's at the same time. What the writes were.
async fn killed_at_every_other_write(name: &str, first: usize, fate: Fate, life: &Life) -> BTreeSet<String> {
    let stage = Stage::new(&format!("{name}-{first}")).await;
    let _agent = stage.agent("n1").await;
    let relay = stage.cluster.relay().await.expect("a relay");
    // A container that is started anew in its pod: nobody waits for its Lease to lapse.
    let identity = stage.operator_identity("a").await;
    let relayed = stage.cluster.through(&identity, "relayed", &relay.server()).expect("a kubeconfig");
    let mut writes = BTreeSet::new();
    for number in (first..).step_by(2) {
        let mut held = relay.rule(only(number, fate));
        let job = format!("job-{number}");
        stage.create(&job, life.spec.clone()).await;
        let first = stage.operator_as(&relayed);
        let mut whole_life = pin!(lives(&stage, &job, life));
        let at = tokio::select! {
            biased;
            at = held.recv() => at.expect("the relay is there"),
            () = &mut whole_life => break,
        };
        // Dead before what is held goes on or is lost.
        drop(first);
        writes.insert(what(&at.asked));
        drop(at);
        let _second = stage.operator_as(&identity);
        whole_life.await;
    }
    writes
}

async fn killed_at_each_write(name: &str, fate: Fate, life: &Life) -> BTreeSet<String> {
    let (even, odd) = tokio::join!(killed_at_every_other_write(name, 0, fate, life), killed_at_every_other_write(name, 1, fate, life));
    &even | &odd
}

/// P7, P8: a crash between any two writes repeats a step, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_is_killed_at_any_of_its_writes_loses_and_doubles_nothing() {
    let succeeds =
        Life { spec: json!({ "module": inline(&sleeps(2)) }), reason: "Completed", attempts: &[(1, "Completed")], stdout: "done\n" };
    let fails = Life {
        spec: json!({ "module": inline(THREE), "backoffLimit": 1, "retryBackoff": { "initialSeconds": 0 } }),
        reason: "BackoffLimitExceeded",
        attempts: &[(2, "GuestExit"), (1, "GuestExit")],
        stdout: "",
    };
    let (one, two, three, four) = tokio::join!(
        killed_at_each_write("before-write", Fate::HoldBefore, &succeeds),
        killed_at_each_write("after-write", Fate::HoldAfter, &succeeds),
        killed_at_each_write("before-fold", Fate::HoldBefore, &fails),
        killed_at_each_write("after-fold", Fate::HoldAfter, &fails),
    );
    let expected = [
        "DELETE wasmjobs",
        "PATCH wasmjobs/status",
        "PATCH wasmjobs/status ends",
        "PATCH wasmjobs/status follows",
        "PATCH wasmnodes adopts",
        "PATCH wasmnodes assigns",
        "PATCH wasmnodes releases",
        "POST leases",
        "PUT leases",
    ];
    for writes in [one, two, three, four] {
        assert_eq!(writes.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
