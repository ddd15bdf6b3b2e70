use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{MOST_SEALED_BYTES, SEALED_CHARACTERS, Sealed, key_id, sealing_context};
use crate::crd;
use crate::node::{Line as _, WasmNodeSpec};

/// What the API server's estimate of the rules' cost is made of (P4).
#[test]
fn the_map_is_atomic_and_bounded() {
    let nodes = crd::wasm_nodes();
    let map = &crd::schema(&nodes)["properties"]["spec"]["properties"]["sealed"];
    assert_eq!((&map["x-kubernetes-map-type"], &map["maxProperties"]), (&json!("atomic"), &json!(256)));
    assert_eq!(map["additionalProperties"], json!({ "type": "string", "maxLength": SEALED_CHARACTERS }));
    assert_eq!(map["x-kubernetes-validations"].as_array().map(Vec::len), Some(1), "a value is replaced whenever its key or a session is");
    assert_eq!(map["x-kubernetes-validations"][0]["rule"], "self.all(key, size(key) <= 96)");
    assert_eq!(map["default"], json!({}));
}

#[test]
fn the_largest_value_fits_into_the_schema() {
    // An encapsulated key of 32 bytes, a tag of 16.
    let value = STANDARD.encode(vec![0; MOST_SEALED_BYTES + 32 + 16]);
    let line = Sealed { key_id: key_id(b"key"), value, until: Some(jiff::Timestamp::UNIX_EPOCH) }.line();
    assert!(line.len() <= SEALED_CHARACTERS, "{}", line.len());
}

#[test]
fn a_value_that_cannot_be_read_hides_no_other() {
    let good = Sealed { key_id: "k".to_owned(), value: "v".to_owned(), until: None };
    let spec: WasmNodeSpec = serde_json::from_value(json!({ "sealed": { "a-1": good.line(), "b-1": "noise" } })).expect("a spec");
    assert_eq!((&spec.sealed["a-1"], spec.sealed["b-1"].key_id.as_str()), (&good, ""));
}

#[test]
fn contexts_differ_in_every_part() {
    let contexts = [
        sealing_context("n", "u", "j", 1),
        sealing_context("n2", "u", "j", 1),
        sealing_context("n", "u2", "j", 1),
        sealing_context("n", "u", "j2", 1),
        sealing_context("n", "u", "j", 2),
        sealing_context("n\",\"u", "", "j", 1),
    ];
    for (position, one) in contexts.iter().enumerate() {
        assert!(contexts[..position].iter().all(|other| other != one));
    }
}
