//! A node whose network is cut: nobody is told, packets vanish. Its agent and the operator each draw their conclusions by their own clock.

use e2e::cable::Cable;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::guests::{NOTHING, WAITS, inline, the_word};
use super::stage::{Stage, attempts};
use crate::processes::{busiest, is_alive};

/// P10, P11, P12: its guest is dead before its work is given away, no two attempts are at work at once, and when the network is back it
/// begins anew and serves again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_ends_its_guests_before_their_work_is_given_away() {
    let stage = Stage::new("cut-off").await;
    let cable = Cable::new().expect("a cable");
    let relay = stage.cluster.relay_on(cable.listen().expect("a listener")).await.expect("a relay");
    let _operator = stage.operator("a").await;
    let identity = stage.agent_identity("n1").await;
    let far = stage.cluster.through(&identity, "far", &relay.server()).expect("a kubeconfig");
    let mut first = stage.cluster.run(far.clone(), cable.at_the_far_end(&stage.agent_command(&far))).expect("it starts");
    stage.takes_work(&identity.pod.node).await;

    // The first attempt is told to wait for ever, the second one is not.
    stage.word("wait").await;
    stage.create("moves", json!({ "module": inline(WAITS), "stdin": the_word() })).await;
    stage.says("moves", "Running").await;
    let guest = stage.until("the guest is at work", async || busiest(first.id()).await).await;
    let second = stage.agent("n2").await;
    stage.word("go").await;

    cable.cut().expect("cut");
    let entries = async || {
        let node = stage.nodes().get(&second.identity().pod.node).await.expect("it is there");
        // Looked at after it was given away: if it is dead now, there was no moment at which both were at work.
        (!node.spec.assignments.is_empty()).then(|| is_alive(guest))
    };
    assert!(!stage.until("its work is given away", entries).await, "the guest outlives its node's Lease");
    let (reason, status) = stage.ended("moves").await;
    assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(2, "Completed"), (1, "NodeLost")]));
    let nodes: Vec<_> = status.attempts.iter().map(|attempt| attempt.node_name.clone()).collect();
    assert_eq!(nodes, [Some(second.identity().pod.node.clone()), Some(identity.pod.node.clone())]);
    first.still_running().expect("it waits for the network");

    cable.mend().expect("mended");
    let away = Patch::Merge(json!({ "spec": { "unschedulable": true } }));
    stage.nodes().patch(&second.identity().pod.node, &PatchParams::default(), &away).await.expect("written");
    stage.create("afterwards", json!({ "module": inline(NOTHING) })).await;
    let (_, status) = stage.ended("afterwards").await;
    // What it finds when it comes back is never started, and costs nothing.
    let reasons: Vec<_> = status.attempts.iter().map(|attempt| attempt.reason.as_str()).collect();
    assert!(reasons[0] == "Completed" && reasons[1..].iter().all(|reason| *reason == "Disrupted"), "{reasons:?}");
    assert!(status.attempts.iter().all(|attempt| attempt.node_name.as_deref() == Some(&identity.pod.node)), "{status:?}");
    stage.settles().await;
    assert_eq!((stage.started("n1"), stage.started("n2")), (2, 1), "guests that were started");
    assert_eq!(attempts(&stage.status("moves").await), [(2, "Completed"), (1, "NodeLost")]);
}
