//! The `configMap` publisher where there is no cluster: nothing is made, and what could not be is refused all the same.

use serde_json::{Value, json};

use super::{Guest, run};
use crate::place::{Place, files};

fn outputs() -> Value {
    json!([{ "name": "outputs", "publish": [{ "configMap": { "name": "{job}" } }] }])
}

#[test]
fn on_the_command_line_the_files_stay_and_what_no_config_map_can_hold_is_refused() {
    let place = Place::new();
    let good = Guest { stdout: "hello", files: &[(0, "Result_1.txt", b"a", 16_000)], ..Guest::default() };
    let rows = [
        ("fits", good, "Completed", ""),
        // What it prints counts with its last 4 KiB.
        ("prints", Guest { stdout: &"x".repeat(20_000), ..Guest::default() }, "Completed", ""),
        (
            "together",
            Guest { stdout: &"x".repeat(20_000), files: &[(0, "a", b"a", 13_000)], ..Guest::default() },
            "OutputTooLarge",
            "16384",
        ),
        ("large", Guest { files: &[(0, "a", b"a", 16_500)], ..Guest::default() }, "OutputTooLarge", "16384"),
        ("many", Guest { many: 62, ..Guest::default() }, "OutputTooLarge", "more than the 64"),
        ("folder", Guest { files: &[(0, "d/a", b"a", 1)], ..Guest::default() }, "OutputUnsafe", "\"d/a\" is no key of a ConfigMap"),
        ("space", Guest { files: &[(0, "a b", b"a", 1)], ..Guest::default() }, "OutputUnsafe", "\"a b\" is no key of a ConfigMap"),
        ("dots", Guest { files: &[(0, "..a", b"a", 1)], ..Guest::default() }, "OutputUnsafe", "\"..a\" is no key of a ConfigMap"),
    ];
    for (name, guest, reason, says) in rows {
        let (ran, status) = run(&place, name, &guest, outputs(), &[]);
        let finished = &status["conditions"][0];
        assert_eq!(finished["reason"], reason, "{name}: {status}");
        assert!(finished["message"].as_str().is_some_and(|message| message.contains(says)), "{name}: {status}");
        let left = files(&place.path().join(format!("{name}-outputs")));
        let result = &status["results"][0];
        if reason == "Completed" {
            assert_eq!((ran.code, left.len()), (Some(0), guest.files.len()), "{name}: {ran:?}");
            assert!(result["digest"].is_string() && result["uri"].is_null() && result["keptOn"].is_null(), "{name}: {status}");
        } else {
            assert!(result.is_null() && left.is_empty(), "{name}: {status}");
        }
    }
}
