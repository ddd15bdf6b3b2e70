use std::collections::BTreeMap;

use crds::job::WhatToRun;
use crds::reason::Reason;
use crds::secret::Granted;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{inputs, keys, text_of};

fn what(sources: Value) -> WhatToRun {
    let inputs: Vec<Value> = sources
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(position, source)| json!({ "name": format!("i{position}"), "secret": source }))
        .collect();
    serde_json::from_value(json!({ "module": { "inline": "AA==" }, "inputs": inputs })).expect("a spec")
}

fn granted() -> Granted {
    let values = |values: &[(&str, &[u8])]| values.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec().into())).collect();
    let s = values(&[("a", b"1"), ("b", b"\xff")]);
    let keys = values(&[("accessKeyId", b" A\n"), ("secretAccessKey", b"S"), ("sessionToken", b"")]);
    let secrets = BTreeMap::from([("s".to_owned(), s), ("odd".to_owned(), values(&[("../x", b"")])), ("static".to_owned(), values(&[]))]);
    Granted { secrets, stores: BTreeMap::from([("static".to_owned(), keys)]) }
}

#[test]
fn secrets_become_files_named_after_their_keys() {
    let found = inputs(&what(json!([{ "name": "s" }, { "name": "s", "key": "b" }])), &granted()).expect("all is given");
    let files: Vec<_> = found
        .iter()
        .flat_map(|(input, files)| files.iter().map(move |(name, value)| (input.as_str(), name.as_str(), value.expose_secret())))
        .collect();
    assert_eq!(files, [("i0", "a", &b"1"[..]), ("i0", "b", b"\xff"), ("i1", "b", b"\xff")]);
    let rows = [
        (json!([{ "name": "none" }]), Reason::CredentialDenied),
        (json!([{ "name": "s", "key": "c" }]), Reason::CredentialDenied),
        (json!([{ "name": "odd" }]), Reason::InvalidSpec),
    ];
    for (sources, reason) in rows {
        let failure = inputs(&what(sources), &granted()).map(|_| ()).expect_err("it cannot be mounted");
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message.starts_with("spec.inputs[i0].secret"), "{failure}");
    }
}

#[test]
fn credentials_are_read_as_people_write_them() {
    let granted = granted();
    let said = |name: &str, key: &str| keys(&granted, name).and_then(|keys| text_of(keys, key));
    assert_eq!(said("static", "accessKeyId").as_deref(), Some("A"), "without the newline that people leave");
    assert_eq!(said("static", "sessionToken"), None, "an empty one is none");
    assert_eq!(said("s", "accessKeyId"), None, "what a guest is given is none");
}
