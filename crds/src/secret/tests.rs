use std::collections::BTreeMap;

use serde_json::json;

use super::{Granted, Part, Reach, S3Use, uses};
use crate::job::WasmJobSpec;

#[test]
fn every_place_that_names_a_secret_is_found() {
    let spec: WasmJobSpec = serde_json::from_value(json!({
        "module": { "s3": { "bucket": "b", "key": "k", "credentialsSecretRef": { "name": "m" } } },
        "envFrom": [{ "secretRef": { "name": "f", "optional": true } }, { "configMapRef": { "name": "c" } }],
        "env": [
            { "name": "A", "valueFrom": { "secretKeyRef": { "name": "e", "key": "a" } } },
            { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "c", "key": "a" } } },
            { "name": "C", "value": "x" },
        ],
        "stdin": { "valueFrom": { "secretKeyRef": { "name": "s", "key": "k", "optional": true } } },
        "inputs": [
            { "name": "one", "secret": { "name": "i", "key": "k" } },
            { "name": "all", "secret": { "name": "i" } },
            { "name": "s3", "s3": { "bucket": "b", "prefix": "", "credentialsSecretRef": { "name": "r" } } },
        ],
        "outputs": [{ "name": "o", "publish": [{ "s3": { "bucket": "b", "prefix": "r/{job}/", "layout": "Flat", "credentialsSecretRef": { "name": "w" } } }] }],
    }))
    .expect("a spec");
    let found: Vec<_> = uses(&spec.run).into_iter().map(|one| (one.field, one.name, one.part, one.optional)).collect();
    let key = |key: &str| Part::Key(key.to_owned());
    let s3 = |reach: Reach| Part::Credentials(S3Use { bucket: "b".to_owned(), region: None, endpoint: None, reach });
    let expected = [
        ("spec.envFrom", "f", Part::All, true),
        ("spec.env[A].valueFrom", "e", key("a"), false),
        ("spec.stdin.valueFrom", "s", key("k"), true),
        ("spec.inputs[one].secret", "i", key("k"), false),
        ("spec.inputs[all].secret", "i", Part::All, false),
        ("spec.module.s3.credentialsSecretRef", "m", s3(Reach::Object("k".to_owned())), false),
        ("spec.inputs[s3].s3.credentialsSecretRef", "r", s3(Reach::Prefix(String::new())), false),
        (
            "spec.outputs[o].publish[0].s3.credentialsSecretRef",
            "w",
            s3(Reach::Publish { prefix: "r/{job}/".to_owned(), is_flat: true }),
            false,
        ),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(field, name, part, optional)| (field.to_owned(), name.to_owned(), part, optional)).collect();
    assert_eq!(found, expected);
}

#[test]
fn values_survive_and_are_not_printed() {
    let values = [("text", b"hunter2 \"\n\0".to_vec()), ("bytes", vec![0xff, 0, b'x']), ("empty", Vec::new())];
    let values = values.map(|(key, value)| (key.to_owned(), value.into()));
    let secrets = BTreeMap::from([("a".to_owned(), BTreeMap::from(values)), ("none".to_owned(), BTreeMap::new())]);
    let session = BTreeMap::from([("accessKeyId".to_owned(), b"session".to_vec().into())]);
    let granted = Granted { secrets, stores: BTreeMap::from([("a".to_owned(), session)]) };
    let bytes = granted.to_bytes();
    let read = Granted::from_bytes(&bytes).expect("it was written just now");
    assert_eq!(read, granted);
    let printed = format!("{granted:?}");
    assert!(!printed.contains("hunter2") && printed.contains("\"text\""), "{printed}");
    for wrong in [&b"{}}"[..], b"[]", b"{\"secrets\":{\"a\":{\"k\":[\"?\"]}}}", b"{\"secrets\":{\"a\":{\"k\":1}}}", b""] {
        assert!(Granted::from_bytes(wrong).is_err(), "{wrong:?}");
    }
}
