mod denied;
mod phases;
mod secrets;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::decide;
use crate::action::Action;
use crate::fixtures::{FENCE, assignment, at, job, node, second};
use crate::observe::{Job, LeaseSeen, Seen};
use crate::state::{Event, NodeOutcome, Now, Settings, State, StatusOutcome};

const LOST_AFTER: Duration = Duration::from_secs(30);
const GONE_AFTER: Duration = Duration::from_mins(10);

fn lease(version: u64, node: &str) -> LeaseSeen {
    LeaseSeen { resource_version: version, holder: format!("pod-of-{node}").into() }
}

/// A leader of epoch 7 that sees these nodes, empty and alive, and all jobs, of which there are none.
fn leader(names: &[&str]) -> State {
    let mut state = State::new(Settings {
        epoch: 7,
        renew_before: Duration::from_mins(20),
        lost_after: LOST_AFTER,
        brake_for: Duration::from_mins(10),
        gone_after: GONE_AFTER,
    });
    for name in names {
        state.observe(Event::Lease { node: (*name).into(), lease: lease(1, name) }, at(0));
        state.observe(Event::Node { name: (*name).into(), object: Box::new(node(name, 1, json!({}), json!({}))) }, at(0));
    }
    state.observe(Event::JobsListed { namespace: None, uids: BTreeSet::new() }, at(0));
    state.begin();
    state
}

fn see(state: &mut State, job: &Job, now: Now) {
    state.observe(Event::Job(Box::new(job.clone())), now);
}

fn named(name: &str, created: i64) -> Job {
    let mut job = job(json!({}));
    job.name = name.into();
    job.uid = format!("uid-{name}").into();
    job.created = second(created);
    job
}

/// What was given to which node.
fn given(actions: &[Action]) -> Vec<(String, Vec<String>)> {
    let write = |action: &Action| match action {
        Action::WriteNode(write) => Some((write.node.to_string(), write.add.values().map(|entry| entry.name.to_string()).collect())),
        _ => None,
    };
    actions.iter().filter_map(write).collect()
}

#[test]
fn jobs_that_gather_while_a_write_is_under_way_go_into_the_next() {
    let mut state = leader(&["n1"]);
    let carve = named("a", 0);
    see(&mut state, &carve, at(1));
    let actions = decide(&mut state, at(1));
    assert_eq!(given(&actions), [("n1".to_owned(), vec!["a".to_owned()])]);
    for name in ["b", "c"] {
        see(&mut state, &named(name, 1), at(1));
    }
    assert_eq!(decide(&mut state, at(1)), [], "one write in flight per object (P6)");

    let id = "uid-a-1-0-1";
    let written = node("n1", 2, json!({ id: assignment(&carve, 1, FENCE) }), json!({}));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: NodeOutcome::Written(Box::new(written)) }, at(1));
    assert_eq!(given(&decide(&mut state, at(1))), [("n1".to_owned(), vec!["b".to_owned(), "c".to_owned()])]);
}

#[test]
fn the_oldest_job_goes_first_and_no_node_gets_more_than_its_slots() {
    let mut state = leader(&["n1"]);
    for number in (0..6).rev() {
        see(&mut state, &named(&format!("job-{number}"), number), at(10));
    }
    let names = |range: std::ops::Range<i32>| range.map(|number| format!("job-{number}")).collect::<Vec<_>>();
    assert_eq!(given(&decide(&mut state, at(10))), [("n1".to_owned(), names(0..4))]);
    assert_eq!(decide(&mut state, at(10)), []);
}

#[test]
fn removals_alone_wait_for_company() {
    let mut state = leader(&["n1"]);
    let gone = named("gone", 0);
    let report = json!({ "fence": FENCE, "stage": "Ended", "ended": { "reason": "Completed", "finishTime": second(5) } });
    let held = node("n1", 2, json!({ "x": assignment(&gone, 1, FENCE) }), json!({ "x": report }));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(held) }, at(1));
    let actions = decide(&mut state, at(1));
    assert!(matches!(&actions[..], [Action::GetJob { .. }]), "an orphan is cancelled after a live look only (P14): {actions:?}");
    state.observe(Event::JobRead { uid: gone.uid.clone(), job: None }, at(1));
    assert_eq!(decide(&mut state, at(1)), []);
    let later = Now { mono: Duration::from_millis(1600), ..at(1) };
    let actions = decide(&mut state, later);
    assert!(matches!(&actions[..], [Action::WriteNode(write)] if write.remove.contains("x") && write.add.is_empty()), "{actions:?}");
}

#[test]
fn a_node_is_given_up_after_a_live_look_only() {
    let mut state = leader(&["n1", "n2"]);
    let carve = named("a", 0);
    see(&mut state, &carve, at(1));
    let held = node("n1", 2, json!({ "uid-a-1-0-1": assignment(&carve, 1, FENCE) }), json!({}));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(held) }, at(1));
    assert_eq!(decide(&mut state, at(1)), []);
    state.observe(Event::Lease { node: "n2".into(), lease: lease(9, "n2") }, at(25));
    assert_eq!(decide(&mut state, at(29)), []);
    assert_eq!(decide(&mut state, at(31)), [Action::GetLease { node: "n1".into() }]);
    assert_eq!(decide(&mut state, at(32)), [], "it is being looked at");

    // It was alive after all: nothing happens.
    state.observe(Event::LeaseRead { node: "n1".into(), lease: Some(lease(10, "n1")) }, at(33));
    assert_eq!(decide(&mut state, at(33)), []);

    state.observe(Event::Lease { node: "n2".into(), lease: lease(11, "n2") }, at(60));
    assert_eq!(decide(&mut state, at(63)), [Action::GetLease { node: "n1".into() }]);
    state.observe(Event::LeaseRead { node: "n1".into(), lease: Some(lease(10, "n1")) }, at(64));
    let actions = decide(&mut state, at(64));
    assert!(matches!(&actions[..], [Action::WriteStatus(write)] if write.status.retries[0].lost == 1), "{actions:?}");
}

#[test]
fn more_than_half_of_the_nodes_at_once_are_held_back_for_a_while() {
    let mut state = leader(&["n1", "n2", "n3"]);
    let carve = named("a", 0);
    see(&mut state, &carve, at(1));
    let held = node("n1", 2, json!({ "uid-a-1-0-1": assignment(&carve, 1, FENCE) }), json!({}));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(held) }, at(1));
    for seconds in [31, 100, 600] {
        assert_eq!(decide(&mut state, at(seconds)), [], "{seconds}");
    }
    assert_eq!(decide(&mut state, at(640)), [Action::GetLease { node: "n1".into() }], "the brake ends after ten minutes (P16)");
}

#[test]
fn nodes_that_were_deleted_pull_no_brake() {
    let mut state = leader(&["n1", "n2", "n3"]);
    let carve = named("a", 0);
    see(&mut state, &carve, at(1));
    let held = node("n1", 2, json!({ "uid-a-1-0-1": assignment(&carve, 1, FENCE) }), json!({}));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(held) }, at(1));
    state.observe(Event::KubeNodesListed { names: ["n3".into()].into() }, at(1));
    state.observe(Event::Lease { node: "n3".into(), lease: lease(5, "n3") }, at(30));
    assert_eq!(decide(&mut state, at(31)), [Action::GetLease { node: "n1".into() }]);
}

/// An agent lives, and what it holds is not known (P14).
#[test]
fn a_live_lease_without_an_object_blocks_until_the_object_is_there() {
    let mut state = leader(&["n1"]);
    state.observe(Event::Lease { node: "n2".into(), lease: lease(5, "n2") }, at(0));
    state.begin();
    see(&mut state, &named("a", 0), at(1));
    assert_eq!(decide(&mut state, at(1)), []);
    state.observe(Event::Node { name: "n2".into(), object: Box::new(node("n2", 6, json!({}), json!({}))) }, at(2));
    assert_eq!(given(&decide(&mut state, at(2))).len(), 1);
}

#[test]
fn what_a_vanished_object_held_counts_as_running_until_another_is_there() {
    let mut state = leader(&["n1"]);
    let carve = named("a", 0);
    see(&mut state, &carve, at(1));
    let held = node("n1", 2, json!({ "uid-a-1-0-1": assignment(&carve, 1, FENCE) }), json!({}));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(held) }, at(1));
    state.observe(Event::NodeGone { name: "n1".into() }, at(2));
    assert_eq!(decide(&mut state, at(2)), []);

    let mut another = node("n1", 9, json!({}), json!({}));
    another.uid = "another".into();
    state.observe(Event::Node { name: "n1".into(), object: Box::new(another) }, at(3));
    let actions = decide(&mut state, at(3));
    assert!(matches!(&actions[..], [Action::WriteStatus(write)] if write.status.retries[0].lost == 1), "{actions:?}");
}

#[test]
fn a_version_that_goes_back_means_a_restored_backup() {
    let mut state = leader(&["n1"]);
    let mut carve = named("a", 0);
    carve.policy.cancel = true;
    see(&mut state, &carve, at(1));
    carve.resource_version = 40;
    see(&mut state, &carve, at(1));
    let actions = decide(&mut state, at(1));
    assert!(matches!(&actions[..], [Action::WriteStatus(_)]), "a late event of a watch is only ignored: {actions:?}");
    let outcome = StatusOutcome::Stale(Some(Box::new(carve.clone())));
    state.observe(Event::StatusWritten { uid: carve.uid.clone(), outcome }, at(1));
    assert!(
        matches!(&decide(&mut state, at(1))[..], [Action::StartAgain { .. }]),
        "an answer that is older than the question is not (P15)"
    );
}

/// The answer to a write and the watch come on two connections.
#[test]
fn an_answer_that_a_watch_has_overtaken_is_only_ignored() {
    let mut state = leader(&["n1"]);
    let carve = named("a", 0);
    see(&mut state, &carve, at(1));
    assert_eq!(given(&decide(&mut state, at(1))).len(), 1);
    let id = "uid-a-1-0-1";
    let assigned = json!({ id: assignment(&carve, 1, FENCE) });
    let report = json!({ id: { "fence": FENCE, "stage": "Ended", "ended": { "reason": "Completed", "finishTime": second(5) } } });
    state.observe(Event::Node { name: "n1".into(), object: Box::new(node("n1", 3, assigned.clone(), report)) }, at(1));
    let written = NodeOutcome::Written(Box::new(node("n1", 2, assigned, json!({}))));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: written }, at(1));
    let actions = decide(&mut state, at(1));
    assert!(matches!(&actions[..], [Action::WriteStatus(_)]), "{actions:?}");
}

#[test]
fn a_job_that_no_node_takes_says_why_after_a_second() {
    let mut state = leader(&["n1"]);
    let mut big = named("big", 0);
    big.memory_bytes = 9 << 30;
    see(&mut state, &big, at(1));
    see(&mut state, &named("small", 2), at(1));
    assert_eq!(given(&decide(&mut state, at(1))), [("n1".to_owned(), vec!["small".to_owned()])], "others pass it");
    let actions = decide(&mut state, at(3));
    let [Action::WriteStatus(write)] = &actions[..] else { panic!("{actions:?}") };
    let scheduled = write.status.conditions.iter().find(|condition| condition.type_ == "Scheduled").expect("it is there");
    assert_eq!(scheduled.message, "no node can take it: n1: 8Gi of memory, 9Gi wanted");
    assert_eq!(scheduled.reason, "Unschedulable");
}

#[test]
fn a_job_that_waits_for_a_node_is_met_by_its_deadline() {
    let mut state = leader(&[]);
    let mut carve = named("a", 0);
    carve.policy.active_deadline_seconds = Some(60);
    see(&mut state, &carve, at(1));
    assert_eq!(decide(&mut state, at(1)), []);
    let told = decide(&mut state, at(3));
    let [Action::WriteStatus(write)] = &told[..] else { panic!("that no node takes it: {told:?}") };
    let carve = Job { resource_version: carve.resource_version + 1, status: Seen::Unfinished(write.status.clone()), ..carve };
    state.observe(Event::StatusWritten { uid: carve.uid.clone(), outcome: StatusOutcome::Written(Box::new(carve)) }, at(3));
    assert_eq!(decide(&mut state, at(59)), []);
    let actions = decide(&mut state, at(60));
    assert!(matches!(&actions[..], [Action::WriteStatus(write)] if write.live), "{actions:?}");
}

#[test]
fn a_node_of_an_earlier_epoch_is_adopted_before_it_gets_work() {
    let mut state = leader(&["n1"]);
    let mut foreign = node("n2", 1, json!({}), json!({}));
    foreign.epoch = 6;
    state.observe(Event::Node { name: "n2".into(), object: Box::new(foreign.clone()) }, at(1));
    assert_eq!(decide(&mut state, at(1)), [Action::Adopt { node: "n2".into() }]);
    assert_eq!(decide(&mut state, at(1)), []);
    state.observe(Event::Adopted { node: "n2".into(), object: None }, at(1));
    assert_eq!(decide(&mut state, at(2)), [], "one that cannot be patched is set aside (P8)");
    assert_eq!(decide(&mut state, at(4)), [Action::Adopt { node: "n2".into() }]);
}

/// P8: a watch that shows the epoch before the adoption's answer says nothing of the Lease; and no other write is under way meanwhile, whose
/// newer answer would make the older one look like a restored backup.
#[test]
fn a_node_gets_work_when_its_adoption_has_been_answered_and_not_when_its_epoch_is_seen() {
    let mut state = leader(&[]);
    state.observe(Event::Lease { node: "n1".into(), lease: lease(1, "n1") }, at(1));
    let mut new = node("n1", 1, json!({}), json!({}));
    new.epoch = 0;
    state.observe(Event::Node { name: "n1".into(), object: Box::new(new) }, at(1));
    see(&mut state, &named("a", 0), at(1));
    assert_eq!(decide(&mut state, at(1)), [Action::Adopt { node: "n1".into() }]);
    let adopted = node("n1", 2, json!({}), json!({}));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(adopted.clone()) }, at(1));
    assert_eq!(decide(&mut state, at(1)), []);
    // No answer: it is adopted again, however its epoch looks.
    state.observe(Event::Adopted { node: "n1".into(), object: None }, at(1));
    assert_eq!(given(&decide(&mut state, at(1))), []);
    assert!(decide(&mut state, at(4)).contains(&Action::Adopt { node: "n1".into() }));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(node("n1", 4, json!({}), json!({}))) }, at(4));
    state.observe(Event::Adopted { node: "n1".into(), object: Some(Box::new(node("n1", 3, json!({}), json!({})))) }, at(4));
    // The first one's status is being told that it waits.
    see(&mut state, &named("b", 4), at(4));
    assert_eq!(given(&decide(&mut state, at(4))), [("n1".to_owned(), vec!["b".to_owned()])]);
}

#[test]
fn a_decision_on_an_unchanged_state_asks_for_nothing() {
    let mut state = leader(&["n1", "n2"]);
    for number in 0..20 {
        see(&mut state, &named(&format!("job-{number:02}"), number), at(20));
    }
    assert_eq!(given(&decide(&mut state, at(20))).len(), 2);
    for _ in 0..3 {
        assert_eq!(decide(&mut state, at(20)), []);
    }
    let names: Vec<Arc<str>> = state.nodes.keys().cloned().collect();
    assert_eq!(names.len(), 2);
}
