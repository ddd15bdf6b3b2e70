use std::sync::Arc;

use super::{Asked, Place, Room, place};

const GIB: u64 = 1 << 30;

fn room(name: &str, slots: usize, taken: usize) -> Room {
    Room { name: name.into(), closed: None, slots, taken, memory_bytes: 8 * GIB, memory_taken: 0, has_key: true, sealed_bytes: 0 }
}

fn closed(name: &str, why: &str) -> Room {
    Room { closed: Some(why.to_owned()), ..room(name, 4, 0) }
}

fn tight(name: &str) -> Room {
    Room { memory_taken: 7 * GIB, ..room(name, 4, 1) }
}

#[test]
fn a_job_goes_to_the_emptiest_node_that_takes_it() {
    let rows: Vec<(Vec<Room>, u64, &[&str], Place)> = vec![
        (vec![room("a", 4, 1), room("b", 4, 0)], 0, &[], Place::On(1)),
        (vec![room("a", 4, 2), room("b", 64, 16)], 0, &[], Place::On(1)),
        (vec![room("b", 4, 0), room("a", 4, 0)], 0, &[], Place::On(1)),
        (vec![room("a", 4, 0), room("b", 4, 0)], 0, &["a"], Place::On(1)),
        (vec![tight("a"), room("b", 4, 3)], 2 * GIB, &[], Place::On(1)),
        (vec![room("a", 4, 4), closed("b", "draining")], 0, &[], Place::Full),
        (vec![tight("a")], 2 * GIB, &[], Place::Full),
        (vec![], 0, &[], Place::Nowhere("no node can take it: there are no nodes; is the agent's DaemonSet installed?".to_owned())),
        (
            vec![closed("a", "not ready: draining"), room("b", 4, 0), room("c", 4, 0)],
            9 * GIB,
            &["c"],
            Place::Nowhere(
                "no node can take it: a: not ready: draining; b: 8Gi of memory, 9Gi wanted; c: 8Gi of memory, 9Gi wanted".to_owned(),
            ),
        ),
        (vec![room("a", 4, 0)], 0, &["a"], Place::Nowhere("no node can take it: a: refused it a moment ago".to_owned())),
    ];
    for (rooms, memory, avoid, expected) in rows {
        let avoid: Vec<Arc<str>> = avoid.iter().map(|name| (*name).into()).collect();
        let asked = Asked { memory_bytes: memory, secrets: false, avoid: &avoid };
        assert_eq!(place(&rooms, asked), expected, "{rooms:?}");
    }
}

#[test]
fn a_job_that_is_given_secrets_goes_where_they_can_be_sealed_to() {
    let old = Room { has_key: false, ..room("a", 4, 0) };
    let asked = Asked { secrets: true, ..Asked::default() };
    let full = Room { sealed_bytes: 511 << 10, ..room("a", 4, 0) };
    assert_eq!(place(std::slice::from_ref(&full), asked), Place::Full, "an object has its bounds");
    assert_eq!(place(&[full], Asked::default()), Place::On(0));
    assert_eq!(place(&[old.clone(), room("b", 4, 3)], asked), Place::On(1));
    assert_eq!(place(std::slice::from_ref(&old), Asked::default()), Place::On(0));
    let Place::Nowhere(message) = place(&[old], asked) else { panic!("it has no key") };
    assert_eq!(message, "no node can take it: a: its agent has no key to seal Secrets to: upgrade it");
}

#[test]
fn a_message_names_only_some_of_many_nodes() {
    let rooms: Vec<Room> = (0..100).map(|number| closed(&format!("node-{number:02}"), "unschedulable")).collect();
    let Place::Nowhere(message) = place(&rooms, Asked::default()) else { panic!("all are closed") };
    assert!(message.ends_with("node-07: unschedulable; and 92 more"), "{message}");
}
