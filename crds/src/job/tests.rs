use serde_json::{Value, json};

use super::WasmJobSpec;

fn hash(spec: Value) -> String {
    serde_json::from_value::<WasmJobSpec>(spec).expect("the row is a spec").run.hash()
}

const URL: &str = "https://example.com/a.wasm";

#[test]
fn the_hash_is_of_what_to_run_alone() {
    let plain = hash(json!({ "module": { "http": { "url": URL } } }));
    assert_eq!(plain.len(), 64);
    let same = [
        json!({ "module": { "http": { "url": URL } }, "backoffLimit": 3, "suspend": true, "cancel": true, "ttlSecondsAfterFinished": 0 }),
        json!({ "args": [], "env": [], "inputs": [], "module": { "http": { "url": URL } } }),
    ];
    for row in same {
        assert_eq!(hash(row.clone()), plain, "{row}");
    }
    let other = [
        json!({ "module": { "http": { "url": URL } }, "args": ["a"] }),
        json!({ "module": { "http": { "url": URL } }, "outputs": [] }),
        json!({ "module": { "http": { "url": URL } }, "timeoutSeconds": 3 }),
        json!({ "module": { "http": { "url": "https://example.com/b.wasm" } } }),
    ];
    for row in other {
        assert_ne!(hash(row.clone()), plain, "{row}");
    }
}

/// Operators and agents of different versions compare it.
#[test]
fn the_hash_does_not_change_with_versions() {
    let spec =
        json!({ "module": { "http": { "url": URL } }, "args": ["b", "a"], "env": [{ "name": "B", "value": "é\"" }], "timeoutSeconds": 7 });
    let canonical = r#"{"args":["b","a"],"env":[{"name":"B","value":"é\""}],"module":{"http":{"url":"https://example.com/a.wasm"}},"timeoutSeconds":7}"#;
    assert_eq!(hash(spec), crate::digest::Digest::of(canonical.as_bytes()).hex());
}
