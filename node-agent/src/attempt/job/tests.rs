use crds::job::WasmJob;
use crds::node::AssignedJob;
use serde_json::{Value, json};

use super::why_not;

fn job(status: Value) -> WasmJob {
    let job = json!({
        "metadata": { "name": "job", "uid": "uid" },
        "spec": { "module": { "inline": "AA==" }, "backoffLimit": 3 },
        "status": status,
    });
    serde_json::from_value(job).expect("a job")
}

fn meant() -> AssignedJob {
    let spec_hash = job(Value::Null).spec.run.hash();
    AssignedJob { namespace: "team".to_owned(), name: "job".to_owned(), uid: "uid".to_owned(), run: 1, generation: 1, spec_hash }
}

/// P2; what is no part of what to run changes nothing.
#[test]
fn only_what_was_meant_is_run() {
    let finished = |run: i64| {
        let condition =
            json!({ "type": "Finished", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        job(json!({ "run": run, "conditions": [condition] }))
    };
    let with = |change: fn(&mut WasmJob)| {
        let mut job = job(Value::Null);
        change(&mut job);
        job
    };
    let rows = vec![
        ("as meant", job(Value::Null), None),
        ("its run is written already", job(json!({ "run": 1 })), None),
        ("other limits", with(|job| job.spec.backoff_limit = Some(9)), None),
        ("another object", with(|job| job.metadata.uid = Some("other".to_owned())), Some("another job has its name")),
        ("other bytes", with(|job| job.spec.run.args.push("x".to_owned())), Some("not what was assigned")),
        ("cancelled", with(|job| job.spec.cancel = Some(true)), Some("cancelled")),
        ("suspended", with(|job| job.spec.suspend = Some(true)), Some("suspended")),
        ("not suspended", with(|job| job.spec.suspend = Some(false)), None),
        ("a later run", job(json!({ "run": 2 })), Some("run 2")),
        ("this run has ended", finished(1), Some("has ended")),
    ];
    for (what, job, expected) in rows {
        let why = why_not(&meant(), &job);
        assert_eq!(why.is_some(), expected.is_some(), "{what}: {why:?}");
        assert!(expected.is_none_or(|part| why.clone().unwrap_or_default().contains(part)), "{what}: {why:?}");
    }
    let second = AssignedJob { run: 2, ..meant() };
    assert_eq!(why_not(&second, &finished(1)), None, "the end of an earlier run is no end of this one");
}
