use kube::core::response::Status;
use serde_json::json;

use super::{Unwritten, meaning};
use crate::client::{CALL, CallError};

fn answer(code: u16, causes: usize) -> CallError {
    let details = serde_json::from_value(json!({ "causes": vec![json!({}); causes] })).expect("details");
    CallError::Answer(kube::Error::Api(Status::failure("no", "").with_code(code).with_details(details).boxed()))
}

/// P5; e2e asks the real server for the same.
#[test]
fn an_answer_says_whether_to_read_again_or_to_look_for_what_is_refused() {
    let refused = || Unwritten::Refused { why: "no".to_owned() };
    let rows = [
        (answer(422, 0), Unwritten::FailedTest),
        (answer(422, 2), refused()),
        (answer(413, 0), refused()),
        (answer(400, 0), refused()),
        (answer(409, 0), Unwritten::FailedTest),
        (answer(404, 0), Unwritten::Gone),
    ];
    for (error, expected) in rows {
        assert_eq!(meaning(&error), expected, "{error:?}");
    }
    for error in [answer(500, 0), answer(429, 0), answer(503, 1), answer(401, 0), CallError::NoAnswer(CALL)] {
        assert!(matches!(meaning(&error), Unwritten::Unknown { .. }), "{error:?}");
    }
}
