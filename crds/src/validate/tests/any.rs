//! Whatever a document holds, it is accepted or refused by field: never a panic, and what is accepted is read and written back the same.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{parse, validate};

/// Any JSON value, with the words of our own schema likely among its names and texts.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        4 => prop::sample::select(vec!["", "/inputs", "../x", "sha256:00", "64Mi", "-1", "a\0b", "https://example.com/x", "AGFzbQEAAAA=", "Qm", "é"])
            .prop_map(str::to_owned),
        1 => ".{0,20}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_i64..100).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "module",
        "http",
        "url",
        "s3",
        "bucket",
        "key",
        "prefix",
        "ipfs",
        "cid",
        "oci",
        "image",
        "path",
        "inline",
        "digest",
        "args",
        "env",
        "name",
        "value",
        "stdin",
        "input",
        "inputs",
        "mountPath",
        "outputs",
        "publish",
        "sizeLimit",
        "resources",
        "limits",
        "requests",
        "memory",
        "cpu",
        "wasmLimits",
        "fuel",
        "timeoutSeconds",
        "entrypoint",
        "unknown",
    ]);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>()
            )),
        ]
    })
}

fn document(spec: Value) -> Value {
    json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": { "name": "any" }, "spec": spec })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_spec_is_accepted_or_refused_by_field(spec in value()) {
        for violation in validate(&document(spec)) {
            prop_assert!(!violation.message.is_empty());
        }
    }

    #[test]
    fn any_document_is_accepted_or_refused(whole in value()) {
        prop_assert!(!validate(&whole).is_empty(), "nothing without apiVersion and kind is a WasmJob");
    }

    #[test]
    fn what_is_accepted_is_written_back_as_it_was_read(
        args in prop::collection::vec("[^\0]{0,20}", 0..5),
        variables in prop::collection::btree_map("[A-Z]{1,8}", "[^\0]{0,20}", 0..5),
        timeout in prop::option::of(1_i64..31_536_000),
        memory in 1_u32..4096,
    ) {
        let env: Vec<_> = variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let spec = json!({
            "module": { "inline": "AGFzbQEAAAA=" }, "args": args, "env": env, "timeoutSeconds": timeout,
            "resources": { "limits": { "memory": format!("{memory}Mi") } },
        });
        let job = parse(&document(spec)).map_err(|violations| TestCaseError::fail(format!("{violations:?}")))?;
        let written = serde_json::to_value(&job).expect("a job is JSON");
        prop_assert_eq!(parse(&written), Ok(job));
    }
}
