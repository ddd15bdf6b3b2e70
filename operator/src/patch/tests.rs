use std::collections::BTreeMap;
use std::sync::Arc;

use crds::node::Sealed;
use kube::core::response::Status;
use serde_json::{Value, json};

use super::{Failed, barrier, bisect, pointer_step, spec};
use crate::action::{NewEntry, NodeWrite};

fn kind(status: Value) -> &'static str {
    let status: Status = serde_json::from_value(status).expect("the row is a Status");
    match Failed::of(&status) {
        Failed::Test => "test",
        Failed::Gone => "gone",
        Failed::Refused(_) => "refused",
        Failed::Denied(_) => "denied",
        Failed::Unanswered(_) => "unanswered",
    }
}

/// The first two are as kube-apiserver 1.36 writes them.
#[test]
fn answers_are_told_apart() {
    let cause = json!({ "causes": [{ "reason": "FieldValueInvalid", "message": "epoch and sequence never go back", "field": "spec" }] });
    let rows = [
        (json!({ "code": 422, "reason": "Invalid", "message": "the server rejected our request due to an error in our request" }), "test"),
        (json!({ "code": 422, "reason": "Invalid", "message": "WasmNode is invalid", "details": cause }), "refused"),
        (json!({ "code": 422, "reason": "Invalid", "message": "", "details": { "name": "n1" } }), "test"),
        (json!({ "code": 409, "reason": "Conflict", "message": "" }), "test"),
        (json!({ "code": 404, "reason": "NotFound", "message": "" }), "gone"),
        (json!({ "code": 413, "reason": "RequestEntityTooLarge", "message": "" }), "refused"),
        (json!({ "code": 403, "reason": "Forbidden", "message": "" }), "denied"),
        (json!({ "code": 429, "reason": "TooManyRequests", "message": "" }), "unanswered"),
        (json!({ "code": 500, "reason": "InternalError", "message": "" }), "unanswered"),
    ];
    for (status, expected) in rows {
        assert_eq!(kind(status.clone()), expected, "{status}");
    }
}

#[test]
fn a_key_is_one_step_of_a_pointer() {
    assert_eq!(pointer_step("a/b~c"), "a~1b~0c");
}

fn write(adds: &[&str], removals: &[&str]) -> NodeWrite {
    let entry = |name: &str| NewEntry {
        namespace: "team-a".into(),
        name: name.into(),
        uid: name.into(),
        run: 1,
        generation: 1,
        spec_hash: String::new(),
        attempt: 1,
        granted: None,
    };
    NodeWrite {
        node: "n1".into(),
        add: adds.iter().map(|name| (Arc::from(*name), entry(name))).collect(),
        remove: removals.iter().map(|id| Arc::from(*id)).collect(),
        ..NodeWrite::default()
    }
}

#[test]
fn what_is_sealed_goes_with_its_entry_and_leaves_with_the_last() {
    let write = NodeWrite { unseal: ["old-1".into()].into(), ..write(&["a"], &["gone"]) };
    let sealed = Sealed { key_id: "k".to_owned(), value: "v".to_owned(), until: None };
    let operations = spec(&write, ["f".to_owned()], &BTreeMap::from([("a-1".to_owned(), sealed)]));
    let of_map = |operation: &&Value| operation["path"].as_str().is_some_and(|path| path.starts_with("/spec/sealed/"));
    let expected = [
        json!({ "op": "add", "path": "/spec/sealed/a-1", "value": r#"{"keyId":"k","value":"v"}"# }),
        json!({ "op": "remove", "path": "/spec/sealed/old-1" }),
    ];
    assert_eq!(operations.iter().filter(of_map).cloned().collect::<Vec<_>>(), expected);
    assert_eq!(operations.len(), 4 + 2 + 2, "one patch");
}

/// An earlier write that tests the same sequence fails after it (P5).
#[test]
fn a_barrier_changes_nothing_but_the_sequence() {
    let write = NodeWrite { uid: "uid-1".into(), epoch: 3, sequence: 8, ..write(&["a"], &["old"]) };
    let expected = json!([
        { "op": "test", "path": "/metadata/uid", "value": "uid-1" },
        { "op": "test", "path": "/spec/epoch", "value": 3 },
        { "op": "test", "path": "/spec/sequence", "value": 8 },
        { "op": "replace", "path": "/spec/sequence", "value": 9 },
    ]);
    assert_eq!(Value::Array(barrier(&write)), expected);
}

/// Only the poisoned entry is refused, and every other change is written once.
#[test]
fn one_poisoned_entry_among_many_is_found() {
    let names: Vec<String> = (0..32).map(|number| format!("job-{number:02}")).collect();
    for poisoned in &names {
        let all = write(&names.iter().map(String::as_str).collect::<Vec<_>>(), &["old-1", "old-2"]);
        let (mut parts, mut written, mut refused, mut sent) = (vec![all], Vec::new(), Vec::new(), 0);
        while let Some(part) = parts.pop() {
            sent += 1;
            if part.add.contains_key(poisoned.as_str()) {
                match bisect(part) {
                    Ok(halves) => parts.extend(halves),
                    Err(entry) => refused.push(entry.name.to_string()),
                }
            } else {
                written.extend(part.add.keys().chain(&part.remove).map(ToString::to_string));
            }
        }
        assert_eq!(refused, std::slice::from_ref(poisoned));
        written.sort();
        let mut expected: Vec<_> = names.iter().filter(|name| *name != poisoned).cloned().collect();
        expected.extend(["old-1".to_owned(), "old-2".to_owned()]);
        assert_eq!(written, expected);
        assert!(sent <= 13, "{sent} writes");
    }
}
