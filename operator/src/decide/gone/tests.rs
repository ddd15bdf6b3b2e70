use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::action::Action;
use crate::decide::decide;
use crate::fixtures::{FENCE, assignment, at, job, node};
use crate::observe::LeaseSeen;
use crate::state::{Event, Settings, State};

fn lease(version: u64, holder: &str) -> Event {
    Event::Lease { node: "n1".into(), lease: LeaseSeen { resource_version: version, holder: holder.into() } }
}

fn object(version: u64, assignments: Value) -> Event {
    Event::Node { name: "n1".into(), object: Box::new(node("n1", version, assignments, json!({}))) }
}

fn listed(names: &[&str]) -> Event {
    Event::KubeNodesListed { names: names.iter().map(|name| (*name).into()).collect() }
}

fn returns() -> Event {
    Event::KubeNode { name: "n1".into() }
}

fn goes() -> Event {
    Event::KubeNodeGone { name: "n1".into() }
}

/// What is taken away of n1 at each of these seconds, after what happened until then.
fn taken(events: Vec<(u64, Event)>, seconds: &[u64]) -> Vec<(u64, Option<u64>, Option<u64>)> {
    let (lost_after, minutes) = (Duration::from_secs(30), Duration::from_mins(10));
    let mut state =
        State::new(Settings { epoch: 7, renew_before: Duration::from_mins(20), lost_after, brake_for: minutes, gone_after: minutes });
    state.observe(Event::JobsListed { namespace: None, uids: BTreeSet::new() }, at(0));
    state.begin();
    let mut events = events.into_iter().peekable();
    let mut taken = Vec::new();
    for second in seconds {
        while let Some((when, event)) = events.next_if(|(when, _)| when <= second) {
            state.observe(event, at(when));
            taken.extend(forgotten(&decide(&mut state, at(when))).map(|(object, lease)| (when, object, lease)));
        }
        taken.extend(forgotten(&decide(&mut state, at(*second))).map(|(object, lease)| (*second, object, lease)));
    }
    taken
}

/// Versions of the object and of the Lease.
fn forgotten(actions: &[Action]) -> Option<(Option<u64>, Option<u64>)> {
    actions.iter().find_map(|action| match action {
        Action::ForgetNode { object, lease, .. } => Some((object.as_ref().map(|(_, version)| *version), *lease)),
        _ => None,
    })
}

/// P14: only when the Node has been gone for ten minutes, nothing of it may run, and nobody renews its Lease.
#[test]
fn a_node_that_is_gone_for_long_is_forgotten() {
    let held = || json!({ "x": assignment(&job(json!({})), 1, FENCE) });
    let left = || vec![(0, object(2, json!({}))), (0, lease(3, "pod-of-n1"))];
    let with = |more: Vec<(u64, Event)>| [left(), more].concat();
    let rows = [
        ("Nodes are not known", left(), vec![]),
        ("it is there", with(vec![(1, listed(&["n1"]))]), vec![]),
        ("it is gone", with(vec![(1, listed(&["n2"]))]), vec![(601, Some(2), Some(3))]),
        ("it went later", with(vec![(1, listed(&["n1"])), (300, goes())]), vec![(900, Some(2), Some(3))]),
        ("it was back for a while", with(vec![(1, listed(&[])), (300, returns()), (301, goes())]), vec![(901, Some(2), Some(3))]),
        ("its agent lives", with(vec![(1, listed(&[])), (590, lease(4, "pod-of-n1"))]), vec![(650, Some(2), Some(4))]),
        ("its agent has left", with(vec![(1, listed(&[])), (590, lease(4, ""))]), vec![(601, Some(2), Some(4))]),
        ("something may run there", with(vec![(1, listed(&[])), (2, object(4, held()))]), vec![]),
        ("only its Lease is left", vec![(0, lease(3, "pod-of-n1")), (1, listed(&[]))], vec![(601, None, Some(3))]),
        ("only its object is left", vec![(0, object(2, json!({}))), (1, listed(&[]))], vec![(601, Some(2), None)]),
        (
            "it did not hold",
            with(vec![(1, listed(&[])), (610, Event::Forgotten { node: "n1".into() })]),
            vec![(601, Some(2), Some(3)), (670, Some(2), Some(3))],
        ),
    ];
    let seconds = [300, 301, 600, 601, 602, 619, 650, 669, 670, 900, 901, 902, 919, 920, 921];
    for (name, events, expected) in rows {
        assert_eq!(taken(events, &seconds), expected, "{name}");
    }
}

#[test]
fn nothing_is_kept_of_a_node_that_is_forgotten() {
    let mut state = State::new(Settings {
        epoch: 7,
        renew_before: Duration::from_mins(20),
        lost_after: Duration::ZERO,
        brake_for: Duration::ZERO,
        gone_after: Duration::ZERO,
    });
    for event in [object(2, json!({})), lease(3, ""), listed(&[])] {
        state.observe(event, at(1));
    }
    assert_eq!(forgotten(&decide(&mut state, at(2))), Some((Some(2), Some(3))));
    state.observe(Event::NodeGone { name: "n1".into() }, at(3));
    state.observe(Event::LeaseGone { node: "n1".into() }, at(3));
    decide(&mut state, at(3));
    assert_eq!(state.nodes.len(), 1, "it is being taken away");
    state.observe(Event::Forgotten { node: "n1".into() }, at(4));
    decide(&mut state, at(4));
    assert!(state.nodes.is_empty());
}
