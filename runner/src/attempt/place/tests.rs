use serde_json::json;

use super::*;

fn what(spec: serde_json::Value) -> WhatToRun {
    serde_json::from_value(spec).expect("a spec")
}

fn identity() -> Identity {
    Identity { namespace: "team-a".to_owned(), name: "carve".to_owned(), run: 2, index: 3, attempt: 4, fence: "ab".to_owned() }
}

#[test]
fn a_guest_is_told_which_run_it_is_and_the_spec_wins() {
    let given = Given { env: vec![("WASMJOB_RUN".to_owned(), "hidden".into())], ..Given::default() };
    let told = environment(
        &identity(),
        &what(json!({"module": {}, "env": [{"name": "PWD", "value": "/data"}, {"name": "A", "value": "b"}]})),
        &given,
    );
    let expected = [
        ("JOB_COMPLETION_INDEX", "3"),
        ("BACALHAU_PARTITION_INDEX", "3"),
        ("BACALHAU_PARTITION_COUNT", "1"),
        ("WASMJOB_NAME", "carve"),
        ("WASMJOB_NAMESPACE", "team-a"),
        ("WASMJOB_ATTEMPT", "4"),
        ("PWD", "/data"),
        ("A", "b"),
        ("WASMJOB_RUN", "hidden"),
    ];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn what_can_never_fit_is_refused_with_its_field() {
    let rows = [
        (json!({}), None),
        (json!({"requests": {"cpu": "1m", "memory": "1Mi"}}), None),
        (json!({"requests": {"cpu": "100000"}}), Some("spec.resources.requests.cpu asks for 100000")),
        (json!({"requests": {"memory": "4Ei"}}), Some("spec.resources.requests.memory asks for 4Ei")),
    ];
    for (resources, refused) in rows {
        let fits = fits(&what(json!({"module": {}, "resources": resources})));
        match refused {
            None => assert_eq!(fits, Ok(()), "{resources}"),
            Some(text) => {
                let failure = fits.expect_err(text);
                assert_eq!(failure.reason, Reason::InvalidSpec);
                assert!(failure.message.contains(text), "{failure}");
            }
        }
    }
}

#[test]
fn limits_are_read_in_bytes() {
    let limited = what(json!({"module": {}, "resources": {"limits": {"memory": "64Mi"}}}));
    assert_eq!(memory_limit(&limited, 5), Ok(64 << 20));
    assert_eq!(memory_limit(&what(json!({"module": {}})), 5), Ok(5));
}
