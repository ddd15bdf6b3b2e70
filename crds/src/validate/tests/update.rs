//! Rules about a change: what an object may become, as the API server asks them at every write.

use std::collections::BTreeSet;

use kube::core::cel::Validator;
use serde_json::{Value, json};

use crate::crd;

/// Merges `change` into `object`: null removes.
fn merged(object: &Value, change: &Value) -> Value {
    match (object, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            let mut fields = fields.clone();
            for (name, change) in changes {
                if change.is_null() {
                    fields.remove(name);
                } else {
                    let before = fields.get(name).cloned().unwrap_or(Value::Null);
                    fields.insert(name.clone(), merged(&before, change));
                }
            }
            Value::Object(fields)
        }
        _ => change.clone(),
    }
}

fn refusals(definition: &Value, old: &Value, change: &Value) -> BTreeSet<String> {
    let schema = crd::schema(definition);
    let new = merged(old, change);
    let Err(errors) = Validator::new().validate(schema, &new, Some(old)) else { return BTreeSet::new() };
    errors.into_vec().into_iter().map(|error| error.message).collect()
}

/// Messages of all rules of the definition that compare with what was.
fn rules_about_a_change(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                if rule["rule"].as_str().is_some_and(|rule| rule.contains("oldSelf")) {
                    found.insert(rule["message"].as_str().expect("every rule has a message").to_owned());
                }
            }
            fields.values().for_each(|field| rules_about_a_change(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| rules_about_a_change(item, found)),
        _ => {}
    }
}

/// Each row: a change, and words of the refusal, or that it is taken. Every rule about a change is broken by some row.
fn check(definition: &Value, old: &Value, rows: &[(Value, Option<&str>)]) {
    let mut unbroken = BTreeSet::new();
    rules_about_a_change(crd::schema(definition), &mut unbroken);
    for (change, expected) in rows {
        let said = refusals(definition, old, change);
        match expected {
            None => assert_eq!(said, BTreeSet::new(), "{change}"),
            Some(words) => assert!(said.iter().any(|message| message.contains(words)), "{change}: {said:?}"),
        }
        unbroken.retain(|rule| !said.contains(rule));
    }
    assert_eq!(unbroken, BTreeSet::new(), "no row breaks these");
}

#[test]
fn what_a_node_holds_only_changes_as_the_protocol_says() {
    let old = json!({
        "metadata": { "name": "n1" },
        "spec": { "epoch": 7, "sequence": 41, "assignments": { "x": "entry", "y": "cancel entry" } },
        "status": { "agent": "pod", "sequence": 5, "reports": {} },
    });
    let of_x = |change: Value| json!({ "spec": { "assignments": { "x": change } } });
    let never = Some("an entry never changes");
    check(
        &crd::wasm_nodes(),
        &old,
        &[
            (json!({ "spec": { "epoch": 8, "sequence": 42 } }), None),
            (json!({ "spec": { "epoch": 6 } }), Some("never go back")),
            (json!({ "spec": { "sequence": 40 } }), Some("never go back")),
            (json!({ "status": { "sequence": 4 } }), Some("never goes back")),
            (json!({ "status": { "sequence": 6, "agent": "another" } }), None),
            (of_x(json!("cancel entry")), None),
            (of_x(json!("another")), never),
            (of_x(json!("entry, but longer")), never),
            (of_x(json!("cancel another")), never),
            (json!({ "spec": { "assignments": { "y": "entry" } } }), never),
            (json!({ "spec": { "assignments": { "x": null, "z": "entry" } } }), None),
        ],
    );
}

fn ended_job() -> Value {
    json!({
        "metadata": { "name": "carve" },
        "spec": { "module": { "inline": "AGFzbQEAAAA=" }, "args": ["a"], "cancel": true },
        "status": {
            "observedGeneration": 1, "run": 2, "runGeneration": 1, "completionTime": "2026-01-01T00:00:00Z",
            "active": 0, "succeeded": 1, "failed": 0, "output": { "exitCode": 0, "stdoutTail": "x", "stderrTail": "", "truncated": false },
            "conditions": [
                { "type": "Finished", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" },
                { "type": "Complete", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" },
            ],
        },
    })
}

#[test]
fn an_end_is_final_and_a_run_is_of_one_spec() {
    let old = ended_job();
    let mut generations = old["status"]["conditions"].clone();
    generations[0]["observedGeneration"] = json!(2);
    let mut failed = old["status"]["conditions"].clone();
    failed[1]["status"] = json!("False");
    let is_final = Some("the end of a run is final");
    let mut rows = vec![
        (json!({ "status": { "observedGeneration": 2, "conditions": generations } }), None),
        (json!({ "status": { "conditions": failed } }), is_final),
        (json!({ "status": { "completionTime": null } }), is_final),
        (json!({ "status": { "completionTime": "2026-01-01T00:00:01Z" } }), is_final),
        (json!({ "status": { "succeeded": 0 } }), is_final),
        (json!({ "status": { "failed": 1 } }), is_final),
        (json!({ "status": { "active": 1 } }), is_final),
        (json!({ "status": { "output": { "stdoutTail": "y" } } }), is_final),
        (
            json!({ "status": { "results": [{ "name": "o", "sizeBytes": 1, "files": 1, "digest": "sha256:".to_owned() + &"0".repeat(64) }] } }),
            is_final,
        ),
        (json!({ "status": { "run": 1 } }), Some("run only grows")),
        (json!({ "status": { "run": 3, "completionTime": null, "output": null, "conditions": [] } }), None),
        (json!({ "spec": { "cancel": false } }), Some("cancel can only become true")),
        (json!({ "spec": { "cancel": null } }), Some("cancel can only become true")),
        (json!({ "spec": { "suspend": true, "ttlSecondsAfterFinished": 5, "backoffLimit": 3 } }), None),
        (json!({ "spec": { "module": { "inline": "AGFzbQ==" } } }), Some("spec.module cannot change once the job has run")),
        (json!({ "spec": { "args": null } }), Some("spec.args cannot change once the job has run")),
    ];
    let others = [
        ("entrypoint", json!("run")),
        ("env", json!([{ "name": "A" }])),
        ("envFrom", json!([{ "configMapRef": { "name": "c" } }])),
        ("stdin", json!({ "value": "x" })),
        ("inputs", json!([{ "name": "a", "inline": "" }])),
        ("outputs", json!([])),
        ("resources", json!({})),
        ("wasmLimits", json!({})),
        ("timeoutSeconds", json!(5)),
    ];
    rows.extend(others.map(|(field, value)| (json!({ "spec": { field: value } }), Some("cannot change once the job has run"))));
    check(&crd::wasm_jobs(), &old, &rows);
}

#[test]
fn a_job_that_has_not_run_may_still_become_another() {
    let mut old = ended_job();
    old["status"] = json!({ "observedGeneration": -1, "conditions": [] });
    let definition = crd::wasm_jobs();
    assert_eq!(refusals(&definition, &old, &json!({ "spec": { "args": ["b"] } })), BTreeSet::new());
    // Somebody may have cancelled it for good all the same.
    assert_eq!(refusals(&definition, &old, &json!({ "spec": { "cancel": false } })).len(), 1);
}
