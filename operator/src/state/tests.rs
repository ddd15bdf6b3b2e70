use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Event, NodeOutcome, Settings, State};
use crate::action::Action;
use crate::decide::decide;
use crate::fixtures::{FENCE, assignment, at, job, node};
use crate::observe::{Job, LeaseSeen};

const ID: &str = "uid-of-the-entry";

/// A leader of epoch 7 that sees the job, and of n1 this version with these entries.
fn leader(job: &Job, version: u64, assignments: Value) -> State {
    let minutes = Duration::from_mins(10);
    let mut state = State::new(Settings {
        epoch: 7,
        renew_before: Duration::from_mins(20),
        lost_after: Duration::from_secs(30),
        brake_for: minutes,
        gone_after: minutes,
    });
    state.observe(Event::Job(Box::new(job.clone())), at(0));
    state.observe(Event::Lease { node: "n1".into(), lease: LeaseSeen { resource_version: 1, holder: "pod-of-n1".into() } }, at(0));
    see_node(&mut state, version, assignments, "uid-of-n1");
    state.begin();
    state
}

fn see_node(state: &mut State, version: u64, assignments: Value, uid: &str) {
    let mut object = node("n1", version, assignments, json!({}));
    object.uid = uid.into();
    state.observe(Event::Node { name: "n1".into(), object: Box::new(object) }, at(1));
}

fn held(job: &Job) -> Value {
    json!({ ID: assignment(job, 1, FENCE) })
}

/// What is done for the job: `nothing`, `assigned`, `cancelled`, `lost`.
fn done(state: &mut State) -> &'static str {
    match &decide(state, at(2))[..] {
        [] => "nothing",
        [Action::WriteNode(write)] if !write.add.is_empty() => "assigned",
        [Action::WriteNode(write)] if !write.cancel.is_empty() => "cancelled",
        [Action::WriteStatus(write)] if write.status.retries.iter().any(|tries| tries.lost == 1) => "lost",
        [Action::StartAgain { .. }] => "starts again",
        other => panic!("{other:?}"),
    }
}

/// What a vanished object held is dead when there is another one, and runs when the object is there after all (P14). What is late is
/// neither.
#[test]
fn what_a_vanished_object_held_is_judged_by_what_is_there_now() {
    let gone = || Event::NodeGone { name: "n1".into() };
    let rows: [(&str, u64, bool, &str, &str); 6] = [
        // what is seen afterwards: UID, version, whether it has the entry; what is done; why
        ("uid-of-n1", 3, true, "nothing", "a late event told of its predecessor's end"),
        ("uid-of-n1", 3, false, "assigned", "it was taken back meanwhile"),
        ("uid-of-n1", 1, false, "nothing", "an early version says nothing of what was there later"),
        ("uid-of-n1", 2, true, "nothing", "the very version that was lost"),
        ("another", 3, false, "lost", "its agent has killed all that ran before"),
        ("another", 1, false, "nothing", "an earlier object"),
    ];
    for (uid, version, has_entry, expected, why) in rows {
        let carve = job(json!({}));
        let mut state = leader(&carve, 2, held(&carve));
        assert_eq!(done(&mut state), "nothing");
        state.observe(gone(), at(1));
        assert_eq!(done(&mut state), "nothing", "it counts as running (P14)");
        see_node(&mut state, version, if has_entry { held(&carve) } else { json!({}) }, uid);
        assert_eq!(done(&mut state), expected, "{uid} {version}: {why}");
    }
}

/// A write's answer that says that nothing is there, and another object, seen before it.
#[test]
fn an_answer_about_a_vanished_object_says_nothing_of_the_next_one() {
    let rows = [("uid-of-n1", "nothing"), ("another", "lost")];
    for (uid, expected) in rows {
        let mut carve = job(json!({}));
        let mut state = leader(&carve, 2, held(&carve));
        carve.policy.suspend = true;
        carve.resource_version += 1;
        state.observe(Event::Job(Box::new(carve.clone())), at(1));
        assert_eq!(done(&mut state), "cancelled");
        see_node(&mut state, 3, if uid == "another" { json!({}) } else { held(&carve) }, uid);
        state.observe(Event::NodeWritten { node: "n1".into(), outcome: NodeOutcome::Stale(None) }, at(1));
        assert_eq!(state.nodes["n1"].object.is_some(), uid == "another");
        assert_eq!(done(&mut state), expected, "{uid}");
    }
}

/// P15: what a list shows is no older than what was known when it was begun; a watch may be late.
#[test]
fn a_list_that_shows_less_than_was_known_means_a_restored_backup() {
    let rows: [(Option<Event>, &str); 3] = [
        (None, "nothing"),
        (Some(Event::NodesListing), "starts again"),
        (Some(Event::JobsListing { namespace: Some(Arc::from("team-a")) }), "starts again"),
    ];
    for (listing, expected) in rows {
        let mut carve = job(json!({ "suspend": true }));
        let mut state = leader(&carve, 2, json!({}));
        state.dirty.clear();
        carve.resource_version -= 1;
        if let Some(listing) = &listing {
            state.observe(listing.clone(), at(1));
        }
        state.observe(Event::Job(Box::new(carve)), at(1));
        see_node(&mut state, 1, json!({}), "uid-of-n1");
        assert_eq!(done(&mut state), expected, "{listing:?}");
    }
}

/// A list that is complete leaves nothing behind by which later events of a watch would be judged.
#[test]
fn what_is_known_of_a_list_ends_with_it() {
    let carve = job(json!({}));
    let mut state = leader(&carve, 2, json!({}));
    state.observe(Event::JobsListing { namespace: None }, at(1));
    state.observe(Event::JobGone { uid: carve.uid.clone() }, at(1));
    state.observe(Event::NodesListing, at(1));
    state.observe(Event::JobsListed { namespace: None, uids: BTreeSet::new() }, at(1));
    state.observe(Event::NodesListed { names: ["n1".into()].into() }, at(1));
    assert!(state.list_floors.is_empty());
    see_node(&mut state, 1, json!({}), "uid-of-n1");
    assert_eq!(done(&mut state), "nothing");
}
