//! Nodes of which the API server takes no write.

use super::*;

/// It is answered that the API server takes no write of the node.
fn deny(state: &mut State, version: u64, now: Now) {
    state.observe(Event::NodeDenied { node: "n1".into(), why: "a policy is against it".to_owned() }, now);
    let found = Box::new(node("n1", version, json!({}), json!({})));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: NodeOutcome::Stale(Some(found)) }, now);
}

/// What is given to nodes at that time, while agents live; statuses are written meanwhile.
fn given_at(state: &mut State, carve: &mut Job, version: u64, now: Now) -> Vec<(String, Vec<String>)> {
    state.observe(Event::Lease { node: "n1".into(), lease: lease(version, "n1") }, now);
    let actions = decide(state, now);
    for action in &actions {
        if let Action::WriteStatus(write) = action {
            carve.resource_version += 1;
            carve.status = Seen::Unfinished(write.status.clone());
            let written = StatusOutcome::Written(Box::new(carve.clone()));
            state.observe(Event::StatusWritten { uid: carve.uid.clone(), outcome: written }, now);
        }
    }
    given(&actions)
}

fn later(now: Now, milliseconds: u64) -> Now {
    let by = Duration::from_millis(milliseconds);
    Now { wall: now.wall.checked_add(by).expect("a time of this century"), mono: now.mono + by }
}

#[test]
fn a_node_is_tried_ever_less_often_until_a_write_is_taken() {
    let mut state = leader(&["n1"]);
    let mut carve = named("a", 0);
    see(&mut state, &carve, at(1));
    let to_n1 = [("n1".to_owned(), vec!["a".to_owned()])];
    let (mut now, mut version) = (at(1), 10);
    assert_eq!(given_at(&mut state, &mut carve, version, now), to_n1);
    for wait in [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        version += 10;
        deny(&mut state, version, now);
        assert_eq!(state.denial("n1"), Some("a policy is against it"));
        for early in [0, wait / 2, wait - 1] {
            version += 1;
            assert_eq!(given_at(&mut state, &mut carve, version, later(now, early)), [], "{early} ms of {wait}");
            // There is nothing to be in a hurry for.
            assert!(crate::decide::next_look(&state, later(now, early)) > Duration::ZERO);
        }
        now = later(now, wait);
        assert_eq!(given_at(&mut state, &mut carve, version + 1, now), to_n1, "after {wait} ms");
    }
    let Seen::Unfinished(status) = &carve.status else { panic!("{carve:?}") };
    let scheduled = status.conditions.iter().find(|condition| condition.type_ == "Scheduled").expect("it is there");
    assert_eq!(scheduled.message, "no node can take it: n1: the API server takes no write of it: a policy is against it");

    let written = node("n1", version + 5, json!({ "uid-a-1-0-1": assignment(&carve, 1, FENCE) }), json!({}));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: NodeOutcome::Written(Box::new(written)) }, now);
    assert_eq!((state.denial("n1"), state.denied_nodes()), (None, 0));
}

#[test]
fn its_jobs_go_to_other_nodes_also_those_that_had_gathered() {
    let mut state = leader(&["n1", "n2"]);
    see(&mut state, &named("a", 0), at(1));
    assert_eq!(given(&decide(&mut state, at(1))), [("n1".to_owned(), vec!["a".to_owned()])]);
    // They are for n2 and, while the write is under way, for n1.
    for name in ["b", "c"] {
        see(&mut state, &named(name, 1), at(1));
    }
    assert_eq!(given(&decide(&mut state, at(1))), [("n2".to_owned(), vec!["b".to_owned()])]);
    deny(&mut state, 2, at(1));
    let written = node("n2", 3, json!({ "uid-b-1-0-1": assignment(&named("b", 1), 1, FENCE) }), json!({}));
    state.observe(Event::NodeWritten { node: "n2".into(), outcome: NodeOutcome::Written(Box::new(written)) }, at(1));
    assert_eq!(given(&decide(&mut state, at(1))), [("n2".to_owned(), vec!["a".to_owned(), "c".to_owned()])]);
}

#[test]
fn a_node_that_cannot_be_taken_over_is_left_alone_too() {
    let mut state = leader(&[]);
    let mut foreign = node("n1", 1, json!({}), json!({}));
    foreign.epoch = 6;
    state.observe(Event::Node { name: "n1".into(), object: Box::new(foreign) }, at(1));
    let adopt = [Action::Adopt { node: "n1".into() }];
    assert_eq!(decide(&mut state, at(1)), adopt);
    for second in 1..4 {
        state.observe(Event::NodeDenied { node: "n1".into(), why: "forbidden".to_owned() }, at(second));
        state.observe(Event::Adopted { node: "n1".into(), object: None }, at(second));
    }
    // The third time it was for two seconds, from the third second on.
    assert_eq!(decide(&mut state, at(4)), []);
    assert_eq!(decide(&mut state, at(5)), adopt);
}
