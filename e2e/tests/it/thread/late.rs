//! Writes that arrive late or twice: a former leader's, held on their way until another leads, and patches that the network repeats. The
//! API server itself refuses them, by what they test (P4), or they do no harm (I6).

use std::collections::BTreeSet;

use e2e::cluster::{Fate, Held, Identity, Relay, Running};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::guests::{NOTHING, THREE, inline, sleeps};
use super::kills::what;
use super::stage::{Stage, attempts};

/// The answer to a test that did not hold: 422 without causes (P5).
const FAILED_TEST: (u16, bool) = (422, false);
const WRITTEN: (u16, bool) = (200, false);

const ADOPTS: &str = "PATCH wasmnodes adopts";
const ASSIGNS: &str = "PATCH wasmnodes assigns";

/// Holds the first write that does this.
fn hold_first(relay: &Relay, does: &'static str) -> UnboundedReceiver<Held> {
    let mut is_held = false;
    relay.rule(move |asked| {
        let is_it = !is_held && what(asked) == does;
        is_held |= is_it;
        if is_it { Fate::HoldBefore } else { Fate::Pass }
    })
}

/// Code, and whether it has causes.
fn meaning((code, answer): (u16, Value)) -> (u16, bool) {
    let causes = answer["details"]["causes"].as_array().is_some_and(|causes| !causes.is_empty());
    (code, code != 200 && causes)
}

/// Two leaders, one after the other, each behind a relay of its own.
struct Leaders<'a> {
    stage: &'a Stage<'a>,
    former: (Relay, Identity),
    next: (Relay, Identity),
}

impl<'a> Leaders<'a> {
    async fn new(stage: &'a Stage<'a>) -> Self {
        // A container that is started anew in its pod: the next one need not wait until a Lease lapses.
        let identity = stage.operator_identity("a").await;
        let behind = async |name: &str| {
            let relay = stage.cluster.relay().await.expect("a relay");
            let identity = stage.cluster.through(&identity, name, &relay.server()).expect("a kubeconfig");
            (relay, identity)
        };
        Self { stage, former: behind("former").await, next: behind("next").await }
    }

    /// A write of a leader that is dead when this returns.
    async fn late(&self, does: &'static str, job: &str, spec: &Value) -> Held {
        let mut held = hold_first(&self.former.0, does);
        let _former = self.stage.operator_as(&self.former.1);
        self.stage.create(job, spec.clone()).await;
        held.recv().await.expect("the relay is there")
    }

    /// The next leader, and the first write of its own that does this.
    async fn next(&self, does: &'static str) -> (Running, Held) {
        let mut held = hold_first(&self.next.0, does);
        let next = self.stage.operator_as(&self.next.1);
        (next, held.recv().await.expect("the relay is there"))
    }
}

/// Everything that writes of jobs change.
async fn objects(stage: &Stage<'_>, job: &str) -> (Value, Value) {
    let node = stage.nodes().get(&format!("{}-n1", stage.pool)).await.expect("it is there");
    let job = stage.jobs().get(job).await.expect("it is there");
    (serde_json::to_value(node).expect("JSON"), serde_json::to_value(job).expect("JSON"))
}

/// Each of them arrives when another leader is about to write the same, and once more when everything is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_leaders_delayed_writes_have_no_wrong_effect() {
    let stage = Stage::new("late").await;
    let _agent = stage.agent("n1").await;
    let leaders = Leaders::new(&stage).await;
    // A status is written for whoever was first: it says the same, and the other one looks again.
    let rows = [
        ("adoption", ADOPTS, NOTHING, FAILED_TEST, WRITTEN),
        ("assignment", ASSIGNS, NOTHING, FAILED_TEST, WRITTEN),
        ("running", "PATCH wasmjobs/status", &sleeps(3), WRITTEN, FAILED_TEST),
        ("end", "PATCH wasmjobs/status ends", NOTHING, WRITTEN, FAILED_TEST),
        ("release", "PATCH wasmnodes releases", NOTHING, FAILED_TEST, WRITTEN),
    ];
    for (name, does, guest, of_the_former, of_the_next) in rows {
        let before = stage.started("n1");
        let late = leaders.late(does, name, &json!({ "module": inline(guest) })).await;
        let (_next, own) = leaders.next(if does == ADOPTS { ASSIGNS } else { does }).await;
        let asked = late.asked.clone();
        assert_eq!(meaning(late.let_go().await), of_the_former, "{name}, between");
        assert_eq!(meaning(own.let_go().await), of_the_next, "{name}, of the next leader");
        let (reason, status) = stage.ended(name).await;
        assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]), "{name}");
        stage.settles().await;
        let left = objects(&stage, name).await;
        assert_eq!(meaning(leaders.former.0.repeat(&asked).await), FAILED_TEST, "{name}, afterwards");
        assert_eq!(objects(&stage, name).await, left, "{name}");
        assert_eq!(stage.started("n1") - before, 1, "{name}: guests that were started");
    }
}

/// P8: what arrives before the next leader's epoch is on the node is in force, and the next leader sees it before it decides anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assignment_that_arrives_before_the_next_leaders_epoch_is_seen() {
    let stage = Stage::new("before-epoch").await;
    let _agent = stage.agent("n1").await;
    let leaders = Leaders::new(&stage).await;
    let late = leaders.late(ASSIGNS, "once", &json!({ "module": inline(&sleeps(1)) })).await;
    let (_next, adoption) = leaders.next(ADOPTS).await;
    assert_eq!(meaning(late.let_go().await), WRITTEN);
    assert_eq!(meaning(adoption.let_go().await), FAILED_TEST, "its read was older");
    let (reason, status) = stage.ended("once").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]));
    stage.settles().await;
    assert_eq!(stage.started("n1"), 1, "guests that were started");
}

/// Patches of operator and agent; what they hear is the answer to the second one: a test that did not hold, of a write that did. One of
/// each kind goes through in between, so that whoever repeats what they believe failed gets on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_that_are_sent_twice_count_once() {
    let stage = Stage::new("twice").await;
    let relay = stage.cluster.relay().await.expect("a relay");
    let mut twice = BTreeSet::new();
    let _held = relay.rule(move |asked| {
        let does = what(asked);
        let is_next = does.starts_with("PATCH") && !twice.remove(&does);
        if is_next && twice.insert(does) { Fate::Twice } else { Fate::Pass }
    });
    let behind = |identity: &Identity| stage.cluster.through(identity, "twice", &relay.server()).expect("a kubeconfig");
    let node = stage.agent_identity("n1").await;
    let _agent = stage.agent_as(&behind(&node));
    stage.takes_work(&node.pod.node).await;
    let _operator = stage.operator_as(&behind(&stage.operator_identity("a").await));
    let retried = json!({ "module": inline(THREE), "backoffLimit": 1, "retryBackoff": { "initialSeconds": 0 } });
    let rows = [
        ("completes", json!({ "module": inline(&sleeps(2)) }), "Completed", &[(1, "Completed")][..]),
        ("retries", retried, "BackoffLimitExceeded", &[(2, "GuestExit"), (1, "GuestExit")]),
    ];
    for (name, spec, ..) in &rows {
        stage.create(name, spec.clone()).await;
    }
    for (name, _, wanted, ended) in rows {
        let (reason, status) = stage.ended(name).await;
        assert_eq!((reason.as_str(), attempts(&status)), (wanted, ended.to_vec()), "{name}");
    }
    stage.settles().await;
    assert_eq!(stage.started("n1"), 3, "guests that were started");
}
