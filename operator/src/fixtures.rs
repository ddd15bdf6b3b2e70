//! Jobs, entries and reports for tests, with values that differ from every default.

use std::time::Duration;

use crds::job::WasmJob;
use crds::node::{EndedReport, WasmNode};
use crds::reason::Reason;
use crds::status::WasmJobStatus;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::observe::{Entry, Job, NodeObject, Reported};
use crate::state::Now;

pub(crate) const UID: &str = "11111111-2222-3333-4444-555555555555";
/// Of the fixtures' nodes.
pub(crate) const PUBLIC_KEY: &str = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
pub(crate) const FENCE: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn second(number: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + number).expect("a second of this century")
}

/// That many seconds after the leader began, which is second 0.
pub(crate) fn at(seconds: u64) -> Now {
    Now { wall: second(i64::try_from(seconds).expect("small")), mono: Duration::from_secs(seconds) }
}

/// A job created at second 0, with these fields of the spec besides its module.
pub(crate) fn job(spec: Value) -> Job {
    job_with(spec, None)
}

/// The same with a status.
pub(crate) fn job_with(spec: Value, status: Option<&WasmJobStatus>) -> Job {
    let mut object = json!({
        "apiVersion": "wasmjob.dev/v1alpha1",
        "kind": "WasmJob",
        "metadata": { "name": "carve", "namespace": "team-a", "uid": UID, "resourceVersion": "41", "generation": 3, "creationTimestamp": second(0) },
        "spec": { "module": { "http": { "url": "https://example.com/a.wasm" } } },
    });
    for (field, value) in spec.as_object().expect("a spec is an object") {
        object["spec"][field] = value.clone();
    }
    if let Some(status) = status {
        object["status"] = serde_json::to_value(status).expect("a status is JSON");
    }
    let object: WasmJob = serde_json::from_value(object).expect("the row is a job");
    Job::observe(&object).expect("it has all that an API server gives")
}

/// The entry of that job's attempt.
pub(crate) fn entry(job: &Job, attempt: i32) -> Entry {
    Entry {
        namespace: job.namespace.clone(),
        name: job.name.clone(),
        uid: job.uid.clone(),
        run: job.run(),
        spec_hash: job.spec_hash.hex().into(),
        attempt,
        fence: FENCE.into(),
        cancel: false,
        line: assignment(job, attempt, FENCE).to_string().into(),
    }
}

/// A report that the attempt started at second 10 and ended at 13.
pub(crate) fn ended(reason: Reason) -> Reported {
    let message = if reason == Reason::Completed { "" } else { "do something about it" };
    let ended = EndedReport::without_guest(reason, message, second(13));
    Reported { fence: FENCE.into(), since: Some(second(10)), ended: Some(Box::new(ended)) }
}

pub(crate) fn running() -> Reported {
    Reported { fence: FENCE.into(), since: Some(second(10)), ended: None }
}

/// A ready node of epoch 7 with these assignments and reports.
pub(crate) fn node(name: &str, version: u64, assignments: Value, reports: Value) -> NodeObject {
    let object: WasmNode = serde_json::from_value(node_of(name, version, &assignments, &reports)).expect("the row is a node");
    NodeObject::observe(&object).expect("it has all that an API server gives")
}

/// The same as the API server has it.
pub(crate) fn node_of(name: &str, version: u64, assignments: &Value, reports: &Value) -> Value {
    json!({
        "apiVersion": "wasmjob.dev/v1alpha1",
        "kind": "WasmNode",
        "metadata": { "name": name, "namespace": "pool", "uid": format!("uid-of-{name}"), "resourceVersion": version.to_string() },
        "spec": { "epoch": 7, "sequence": 100 + version, "assignments": lines(assignments) },
        "status": {
            "agent": format!("pod-of-{name}"),
            "publicKey": PUBLIC_KEY,
            "sequence": 1,
            "allocatable": { "cpu": "4", "memory": "8Gi", "slots": 4 },
            "reports": lines(reports),
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": second(0) }],
        },
    })
}

/// Each part of a map as a line of JSON.
fn lines(map: &Value) -> Value {
    map.as_object().into_iter().flatten().map(|(id, part)| (id.clone(), Value::from(part.to_string()))).collect()
}

/// An assignment, of which a node has the line.
pub(crate) fn assignment(job: &Job, attempt: i32, fence: &str) -> Value {
    json!({
        "job": {
            "namespace": &*job.namespace, "name": &*job.name, "uid": &*job.uid,
            "run": job.run(), "generation": job.generation, "specHash": job.spec_hash.hex(),
        },
        "attempt": attempt, "fence": fence, "indexes": "0",
    })
}
