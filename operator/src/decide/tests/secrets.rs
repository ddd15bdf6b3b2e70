//! Jobs that name Secrets: read when there is a place, sealed with the assignment, gone with the last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::node::{Line as _, Sealed};
use crds::reason::Reason;
use crds::secret::Granted;
use serde_json::json;

use super::{leader, named, see};
use crate::action::{Action, NodeWrite, SecretsRead};
use crate::decide::decide;
use crate::fixtures::{FENCE, assignment, at, job, node, node_of, second};
use crate::observe::{Job, NodeObject};
use crate::secrets::{Outcome, Refusal};
use crate::state::{Event, NodeOutcome, Now, State};

const ID: &str = "uid-a-1-0-1";
const SEALED: &str = "uid-a-1";

/// Job a, which wants a key of Secret s.
fn wants() -> Job {
    let from = json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    Job { name: "a".into(), uid: "uid-a".into(), ..job(json!({ "env": [{ "name": "X", "valueFrom": from }] })) }
}

fn granted() -> Outcome {
    let values = BTreeMap::from([("k".to_owned(), b"hunter2".to_vec().into())]);
    Outcome::Granted(Arc::new(Granted { secrets: BTreeMap::from([("s".to_owned(), values)]), ..Granted::default() }))
}

fn refused(reason: Reason, may_settle: bool) -> Outcome {
    Outcome::Refused(Refusal { reason, message: "because".to_owned(), may_settle })
}

fn asked(renews: Option<&str>) -> SecretsRead {
    let job = wants();
    let (namespace, name, uid) = (job.namespace.clone(), job.name.clone(), job.uid.clone());
    let uses = job.secrets.clone().expect("it names one");
    SecretsRead { namespace, name, uid, run: 1, attempt: 1, uses, renews: renews.map(Into::into) }
}

fn read(state: &mut State, outcome: Outcome, now: Now) {
    state.observe(Event::SecretsRead { read: asked(None), outcome }, now);
}

fn is_read(actions: &[Action]) -> bool {
    matches!(actions, [Action::ReadSecrets(read)] if *read == asked(None))
}

fn written(actions: &[Action]) -> &NodeWrite {
    match actions {
        [Action::WriteNode(write)] => write,
        other => panic!("{other:?}"),
    }
}

/// Node n1 with that job's assignment, sealed to this key, and what its agent says of it.
fn holding(version: u64, key_id: &str, reports: serde_json::Value) -> NodeObject {
    let sealed = Sealed { key_id: key_id.to_owned(), value: "noise".to_owned(), until: None };
    let mut object = node_of("n1", version, &json!({ ID: assignment(&wants(), 1, FENCE) }), &reports);
    object["spec"]["sealed"] = json!({ SEALED: sealed.line() });
    NodeObject::observe(&serde_json::from_value(object).expect("a node")).expect("whole")
}

#[test]
fn secrets_are_read_once_when_there_is_a_place_and_go_with_the_assignment() {
    let mut state = leader(&["n1"]);
    see(&mut state, &wants(), at(1));
    see(&mut state, &named("plain", 2), at(1));
    let actions = decide(&mut state, at(1));
    let [Action::ReadSecrets(_), Action::WriteNode(write)] = &actions[..] else { panic!("others do not wait: {actions:?}") };
    assert!(write.add.values().all(|entry| &*entry.name == "plain" && entry.granted.is_none()));
    assert_eq!(decide(&mut state, at(1)), [], "it is being read");
    read(&mut state, granted(), at(2));
    let object = node("n1", 2, json!({}), json!({}));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: NodeOutcome::Written(Box::new(object)) }, at(2));
    let actions = decide(&mut state, at(2));
    let write = written(&actions);
    let Outcome::Granted(expected) = granted() else { panic!("it is") };
    assert_eq!(write.add[ID].granted, Some(expected));
    assert!(write.key.is_some());
    assert!(!format!("{actions:?}").contains("hunter2"));
}

#[test]
fn secrets_that_are_not_to_be_had_end_the_job_when_that_has_lasted() {
    let rows = [
        // Not granted, not found, a key missing: Role, Secret and job may have been applied together.
        (refused(Reason::CredentialDenied, true), 6, "CredentialDenied"),
        (refused(Reason::InvalidSpec, false), 1, "InvalidSpec"),
    ];
    for (outcome, expected_tries, reason) in rows {
        let mut state = leader(&["n1"]);
        see(&mut state, &wants(), at(10));
        let mut tries = 0;
        let write = (10..60).find_map(|now| {
            let mut actions = decide(&mut state, at(now));
            while is_read(&actions) {
                tries += 1;
                read(&mut state, outcome.clone(), at(now));
                actions = decide(&mut state, at(now));
            }
            match &actions[..] {
                [Action::WriteStatus(write)] => Some(write.clone()),
                [] => None,
                other => panic!("{other:?}"),
            }
        });
        let write = write.expect("it ends");
        let finished = write.status.conditions.iter().find(|condition| condition.type_ == "Finished").expect("always there");
        assert_eq!((tries, finished.reason.as_str(), write.live), (expected_tries, reason, true));
        assert!(finished.message.contains("because"), "{}", finished.message);
    }
}

#[test]
fn a_refusal_that_settles_and_an_answer_that_never_came_are_nothing() {
    for outcome in [refused(Reason::CredentialDenied, true), Outcome::Unanswered("503".to_owned())] {
        let mut state = leader(&["n1"]);
        see(&mut state, &wants(), at(10));
        for now in 10..14 {
            assert!(is_read(&decide(&mut state, at(now))), "{now}");
            read(&mut state, outcome.clone(), at(now));
            assert_eq!(decide(&mut state, at(now)), [], "not at once");
        }
        assert!(is_read(&decide(&mut state, at(14))));
        read(&mut state, granted(), at(14));
        assert!(written(&decide(&mut state, at(14))).add[ID].granted.is_some());
    }
}

/// What somebody does to the job meanwhile.
type Change = fn(&mut State);

#[test]
fn what_was_read_for_nothing_is_not_kept() {
    let changes: [(&str, Change); 3] = [
        ("deleted while it was read", |state| state.observe(Event::JobGone { uid: "uid-a".into() }, at(2))),
        ("cancelled while it was read", |state| {
            let mut job = Job { resource_version: 42, ..wants() };
            job.policy.cancel = true;
            see(state, &job, at(2));
        }),
        ("suspended while it was read", |state| {
            let mut job = Job { resource_version: 42, ..wants() };
            job.policy.suspend = true;
            see(state, &job, at(2));
        }),
    ];
    for (what, change) in changes {
        let mut state = leader(&["n1"]);
        see(&mut state, &wants(), at(1));
        assert!(is_read(&decide(&mut state, at(1))), "{what}");
        change(&mut state);
        read(&mut state, granted(), at(3));
        let actions = decide(&mut state, at(3));
        assert!(!actions.iter().any(|action| matches!(action, Action::WriteNode(_))), "{what}: {actions:?}");
        assert!(state.secrets.is_empty(), "{what}");
    }
}

/// What was read is of the spec that was seen then.
#[test]
fn a_spec_that_changed_while_its_secrets_were_read_has_them_read_again() {
    let mut state = leader(&["n1"]);
    see(&mut state, &wants(), at(1));
    assert!(is_read(&decide(&mut state, at(1))));
    let other = job(json!({ "envFrom": [{ "secretRef": { "name": "s" } }] })).secrets;
    see(&mut state, &Job { resource_version: 42, secrets: other.clone(), ..wants() }, at(2));
    read(&mut state, granted(), at(2));
    let actions = decide(&mut state, at(2));
    assert!(matches!(&actions[..], [Action::ReadSecrets(read)] if Some(&read.uses) == other.as_ref()), "{actions:?}");
}

/// A thousand jobs that wait are not a thousand requests.
#[test]
fn no_more_secrets_are_read_than_there_is_room_for_their_jobs() {
    let mut state = leader(&["n1"]);
    for number in 0..100 {
        let name = format!("job-{number:02}");
        see(&mut state, &Job { name: name.as_str().into(), uid: name.as_str().into(), ..wants() }, at(1));
    }
    let asked = |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::ReadSecrets(_))).count();
    assert_eq!(asked(&decide(&mut state, at(1))), 4, "its slots");
    let more: usize = (1..50).map(|_| asked(&decide(&mut state, at(1)))).sum();
    assert_eq!(more, 28, "32 at once");
}

#[test]
fn what_waited_too_long_for_a_place_is_read_again() {
    let mut state = leader(&["n1"]);
    see(&mut state, &wants(), at(1));
    assert!(is_read(&decide(&mut state, at(1))));
    read(&mut state, granted(), at(2));
    assert!(is_read(&decide(&mut state, at(20))));
}

/// P2: nothing fails, and the node is not left out.
#[test]
fn what_was_sealed_to_a_former_key_is_sealed_again() {
    let refusal = json!({ ID: { "fence": FENCE, "stage": "Ended", "ended": { "reason": "Refused", "finishTime": second(5) } } });
    for (key_id, is_placed_at_once) in [("former", true), (&*holding(2, "x", json!({})).key.expect("it has one").id, false)] {
        let mut state = leader(&["n1"]);
        see(&mut state, &wants(), at(1));
        state.observe(Event::Node { name: "n1".into(), object: Box::new(holding(2, key_id, refusal.clone())) }, at(1));
        assert_eq!(decide(&mut state, at(1)), [], "a removal waits for company");
        let actions = decide(&mut state, at(2));
        let write = written(&actions);
        assert_eq!((write.remove.contains(ID), write.unseal.contains(SEALED)), (true, true), "{write:?}");
        let object = node("n1", 3, json!({}), json!({}));
        state.observe(Event::NodeWritten { node: "n1".into(), outcome: NodeOutcome::Written(Box::new(object)) }, at(2));
        assert_eq!(is_read(&decide(&mut state, at(2))), is_placed_at_once, "{key_id}");
        read(&mut state, granted(), at(2));
        let actions = decide(&mut state, at(2));
        if is_placed_at_once {
            assert!(written(&actions).add[ID].granted.is_some(), "the same attempt: nothing was counted");
        }
    }
}

#[test]
fn what_is_sealed_stays_as_long_as_an_entry_needs_it() {
    let running = json!({ ID: { "fence": FENCE, "stage": "Running" } });
    let ended = json!({ ID: { "fence": FENCE, "stage": "Ended", "ended": { "reason": "Completed", "finishTime": second(5) } } });
    for (reports, goes) in [(running, false), (ended, true)] {
        let mut state = leader(&["n1"]);
        let object = holding(2, "key", reports);
        state.observe(Event::Node { name: "n1".into(), object: Box::new(object) }, at(1));
        // The job is gone: what runs is cancelled, what has ended is taken back.
        assert!(matches!(decide(&mut state, at(1))[..], [Action::GetJob { .. }]));
        state.observe(Event::JobRead { uid: "uid-a".into(), job: None }, at(1));
        let actions = [decide(&mut state, at(1)), decide(&mut state, at(2))].concat();
        assert_eq!((written(&actions).remove.contains(ID), written(&actions).unseal.contains(SEALED)), (goes, goes));
    }
}

/// A guest may run for hours, and publishes at its end.
#[test]
fn a_session_is_renewed_before_it_ends_as_long_as_its_run_needs_it() {
    let running = json!({ ID: { "fence": FENCE, "stage": "Running" } });
    let ended = json!({ ID: { "fence": FENCE, "stage": "Ended", "ended": { "reason": "Refused", "finishTime": second(5) } } });
    let hour = 3600;
    for (reports, until, renewed_at) in [(&running, Some(hour), Some(hour - 1200 + 1)), (&running, None, None), (&ended, Some(hour), None)]
    {
        let mut state = leader(&["n1"]);
        see(&mut state, &wants(), at(1));
        let mut object = holding(2, "x", reports.clone());
        let sealed = object.sealed.get_mut(SEALED).expect("it is sealed");
        sealed.key_id = object.key.as_ref().expect("it has one").id.clone();
        sealed.until = until.map(second);
        state.observe(Event::Node { name: "n1".into(), object: Box::new(object) }, at(1));
        let mut asks = |now: i64| {
            let now = at(u64::try_from(now).expect("small"));
            state.observe(Event::Lease { node: "n1".into(), lease: super::lease(now.mono.as_secs(), "n1") }, now);
            let renewals = decide(&mut state, now).into_iter().filter(|action| *action == Action::ReadSecrets(asked(Some("n1"))));
            renewals.count()
        };
        let first = (0..hour).find(|now| asks(*now) > 0);
        assert_eq!(first, renewed_at, "{reports} {until:?}");
        let Some(first) = first else { continue };
        assert_eq!((asks(first + 1), asks(first + 29), asks(first + 30)), (0, 0, 1), "no answer: again after a while");
        let now = at(u64::try_from(first).expect("small") + 31);
        state.observe(Event::SecretsRead { read: asked(Some("n1")), outcome: granted() }, now);
        let actions = decide(&mut state, now);
        let write = written(&actions);
        assert!(write.seal.contains_key(SEALED) && write.add.is_empty() && write.unseal.is_empty(), "{write:?}");
    }
}

/// Its run ended while it was renewed.
#[test]
fn nothing_is_sealed_anew_for_a_run_that_is_over() {
    let ended = json!({ ID: { "fence": FENCE, "stage": "Ended", "ended": { "reason": "Completed", "finishTime": second(5) } } });
    let mut state = leader(&["n1"]);
    state.observe(Event::Node { name: "n1".into(), object: Box::new(holding(2, "key", ended)) }, at(1));
    assert!(matches!(decide(&mut state, at(1))[..], [Action::GetJob { .. }]));
    state.observe(Event::SecretsRead { read: asked(Some("n1")), outcome: granted() }, at(1));
    state.observe(Event::JobRead { uid: "uid-a".into(), job: None }, at(1));
    let actions = decide(&mut state, at(1));
    let write = written(&actions);
    assert!(write.remove.contains(ID) && write.unseal.contains(SEALED) && write.seal.is_empty(), "{write:?}");
}
