use serde_json::json;

use super::{Policy, Seen};
use crate::fixtures::{assignment, job, node};

#[test]
fn a_specs_defaults_are_filled_in() {
    let expected = Policy {
        backoff_limit: 0,
        backoff_initial_seconds: 10,
        backoff_max_seconds: 360,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        suspend: false,
        cancel: false,
    };
    assert_eq!(job(json!({})).policy, expected);
}

#[test]
fn what_a_job_needs_is_what_it_requests_or_else_its_limit() {
    let rows = [
        (json!({}), 0),
        (json!({ "limits": { "memory": "64Mi" } }), 64 << 20),
        (json!({ "requests": { "memory": "1Mi" }, "limits": { "memory": "64Mi" } }), 1 << 20),
    ];
    for (resources, bytes) in rows {
        assert_eq!(job(json!({ "resources": resources })).memory_bytes, bytes);
    }
}

#[test]
fn a_defaulted_status_is_nobodys() {
    let default = json!({ "observedGeneration": -1, "conditions": [] });
    assert_eq!(Seen::of(serde_json::from_value(default).ok().as_ref()), Seen::Unwritten);
}

#[test]
fn a_report_with_another_fence_is_about_another_attempt() {
    let carve = job(json!({}));
    let report = |fence| json!({ "fence": fence, "stage": "Running", "startTime": "2026-01-01T00:00:00Z" });
    let node = node(
        "n1",
        1,
        json!({ "a": assignment(&carve, 1, "f1"), "b": assignment(&carve, 1, "f2") }),
        json!({ "a": report("f1"), "b": report("f1"), "c": report("f3") }),
    );
    assert_eq!((node.report("a").is_some(), node.report("b").is_some(), node.report("c").is_some()), (true, false, false));
}
