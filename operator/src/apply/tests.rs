use kube::core::response::Status;
use serde_json::{Value, json};

use super::{Failed, pointer_step};

fn kind(status: Value) -> &'static str {
    let status: Status = serde_json::from_value(status).expect("the row is a Status");
    match Failed::of(&status) {
        Failed::Test => "test",
        Failed::Gone => "gone",
        Failed::Refused(_) => "refused",
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
        (json!({ "code": 403, "reason": "Forbidden", "message": "" }), "unanswered"),
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
