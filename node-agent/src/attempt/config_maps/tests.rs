use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use crds::job::WhatToRun;
use crds::reason::Reason;
use crds::secret::Granted;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{ConfigMaps, files, local, names, values, write};

/// ConfigMap m, and none of the name n.
fn maps() -> ConfigMaps {
    let map = json!({
        "metadata": { "name": "m" },
        "data": { "A": "one", "B": "two", "nul": "a\u{0}b" },
        "binaryData": { "bytes": "/w==" },
    });
    BTreeMap::from([("m".to_owned(), Some(serde_json::from_value(map).expect("a ConfigMap"))), ("n".to_owned(), None)])
}

fn what(spec: Value) -> WhatToRun {
    let mut whole = json!({ "module": { "inline": "AA==" } });
    whole.as_object_mut().expect("it is one").extend(spec.as_object().expect("it is one").clone());
    serde_json::from_value(whole).expect("a spec")
}

/// Secrets s and two.
fn granted() -> Granted {
    let values = |values: &[(&str, &[u8])]| values.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec().into())).collect();
    let s = values(&[("text", b"hunter2"), ("bytes", b"\xff"), ("nul", b"a\0b")]);
    let secrets = BTreeMap::from([("s".to_owned(), s), ("two".to_owned(), values(&[("A", b"1"), ("B", b"2")]))]);
    Granted { secrets, ..Granted::default() }
}

fn secret(key: &str, optional: bool) -> Value {
    json!({ "secretKeyRef": { "name": "s", "key": key, "optional": optional } })
}

fn key(name: &str, key: &str, optional: bool) -> Value {
    json!({ "configMapKeyRef": { "name": name, "key": key, "optional": optional } })
}

#[test]
fn texts_become_variables_and_stdin() {
    let from =
        |prefix: &str, name: &str, optional: bool| json!({ "prefix": prefix, "configMapRef": { "name": name, "optional": optional } });
    let mut without_nul = maps();
    if let Some(Some(map)) = without_nul.get_mut("m") {
        map.data.as_mut().expect("it has data").remove("nul");
    }
    let what = what(json!({
        "envFrom": [from("P_", "m", false), from("", "n", true), from("", "m", false)],
        "env": [
            { "name": "B", "value": "mine" },
            { "name": "C", "valueFrom": key("m", "A", false) },
            { "name": "D", "valueFrom": key("m", "none", true) },
            { "name": "E", "valueFrom": key("n", "none", true) },
        ],
        "stdin": { "valueFrom": key("m", "B", false) },
    }));
    assert_eq!(names(&what).into_iter().collect::<Vec<_>>(), ["m", "n"]);
    let resolved = values(what, &without_nul, &Granted::default()).expect("everything is there or may be missing").what;
    let variables: Vec<_> = resolved.env.iter().map(|variable| format!("{}={}", variable.name, variable.value)).collect();
    assert_eq!(variables, ["P_A=one", "P_B=two", "A=one", "B=mine", "C=one"]);
    assert!(resolved.env_from.is_empty() && resolved.env.iter().all(|variable| variable.value_from.is_none()));
    let stdin = resolved.stdin.expect("there is one");
    assert_eq!((stdin.value.as_deref(), stdin.value_from), (Some("two"), None));
}

#[test]
fn what_is_given_of_secrets_is_hidden_and_the_last_of_a_name_wins() {
    let what = what(json!({
        "envFrom": [{ "configMapRef": { "name": "c" } }, { "prefix": "S_", "secretRef": { "name": "two" } }, { "secretRef": { "name": "two" } }],
        "env": [
            { "name": "B", "value": "open" },
            { "name": "C", "valueFrom": secret("text", false) },
            { "name": "D", "valueFrom": secret("none", true) },
        ],
        "stdin": { "valueFrom": secret("bytes", false) },
    }));
    let map = json!({ "data": { "A": "open", "C": "open" } });
    let maps = BTreeMap::from([("c".to_owned(), Some(serde_json::from_value(map).expect("a ConfigMap")))]);
    let resolved = values(what, &maps, &granted()).expect("all is given");
    let open: Vec<_> = resolved.what.env.iter().map(|variable| format!("{}={}", variable.name, variable.value)).collect();
    let hidden: Vec<_> = resolved.env.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
    assert_eq!((open, hidden), (vec!["B=open".to_owned()], ["S_A=1", "S_B=2", "A=1", "C=hunter2"].map(str::to_owned).to_vec()));
    assert!(resolved.what.stdin.is_none() && !format!("{:?}", resolved.what).contains("hunter2"));
    let mut read = Vec::new();
    resolved.stdin.expect("there is one").read_to_end(&mut read).expect("in memory");
    assert_eq!(read, [0xff]);
}

#[test]
fn what_is_missing_or_no_text_is_told_by_its_names() {
    let env = |value: Value| json!({ "env": [{ "name": "X", "valueFrom": value }] });
    let rows = [
        (env(key("m", "none", false)), Reason::FetchNotFound, ["\"m\"", "\"none\"", "spec.env[X]"]),
        (env(key("n", "A", false)), Reason::FetchNotFound, ["\"n\"", "\"A\"", "spec.env[X]"]),
        (env(key("m", "bytes", true)), Reason::InvalidSpec, ["\"m\"", "\"bytes\"", "binaryData"]),
        (env(key("m", "nul", false)), Reason::InvalidSpec, ["\"m\"", "\"nul\"", "NUL"]),
        (json!({ "envFrom": [{ "configMapRef": { "name": "n" } }] }), Reason::FetchNotFound, ["\"n\"", "spec.envFrom", ""]),
        (env(secret("bytes", false)), Reason::CredentialDenied, ["\"s\"", "\"bytes\"", "spec.env[X]"]),
        (env(secret("nul", false)), Reason::CredentialDenied, ["\"s\"", "\"nul\"", "NUL"]),
        (env(secret("none", false)), Reason::CredentialDenied, ["\"s\"", "not given", "spec.env[X]"]),
        (json!({ "stdin": { "valueFrom": key("m", "none", false) } }), Reason::FetchNotFound, ["\"none\"", "spec.stdin", ""]),
    ];
    for (spec, reason, parts) in rows {
        let failure = values(what(spec.clone()), &maps(), &granted()).map(|_| ()).expect_err("it cannot be resolved");
        assert_eq!(failure.reason, reason, "{spec}");
        assert!(parts.iter().all(|part| failure.message.contains(part)), "{spec}: {}", failure.message);
    }
}

#[test]
fn sources_become_files_named_after_their_keys() {
    let root = tempfile::tempdir().expect("a folder");
    let what = what(json!({
        "module": { "configMap": { "name": "m", "key": "bytes" } },
        "inputs": [
            { "name": "one", "configMap": { "name": "m", "key": "A" } },
            { "name": "all", "configMap": { "name": "m" } },
            { "name": "other", "inline": "AA==" },
        ],
    }));
    let folder = write(root.path(), files(&what, &maps()).expect("all are there")).expect("a disk");
    let local = local(&what, folder.path());
    assert_eq!(local.module.as_deref(), Some(&*folder.path().join("module/bytes")));
    assert_eq!(std::fs::read(folder.path().join("module/bytes")).expect("it is there"), [0xff]);
    assert_eq!(local.inputs.keys().collect::<Vec<_>>(), ["all", "one"]);
    assert_eq!(std::fs::read(&local.inputs["one"]).expect("it is there"), b"one");
    let mut all: Vec<_> = std::fs::read_dir(&local.inputs["all"]).expect("a folder").flatten().map(|file| file.file_name()).collect();
    all.sort();
    assert_eq!(all, ["A", "B", "bytes", "nul"]);
}

#[test]
fn sources_that_are_missing_or_no_files_are_told_by_their_names() {
    let input = |source: Value| json!({ "inputs": [{ "name": "i", "configMap": source }] });
    let optional = |source: Value| json!({ "inputs": [{ "name": "i", "configMap": source, "optional": true }] });
    let mut odd = maps();
    let map = json!({ "metadata": { "name": "odd" }, "data": { "../x": "" } });
    odd.insert("odd".to_owned(), Some(serde_json::from_value(map).expect("a ConfigMap")));
    let empty = json!({ "metadata": { "name": "empty" } });
    odd.insert("empty".to_owned(), Some(serde_json::from_value(empty).expect("a ConfigMap")));
    let rows = [
        (input(json!({ "name": "n" })), Err(Reason::FetchNotFound)),
        (input(json!({ "name": "m", "key": "none" })), Err(Reason::FetchNotFound)),
        (json!({ "module": { "configMap": { "name": "n", "key": "x" } } }), Err(Reason::FetchNotFound)),
        (input(json!({ "name": "odd" })), Err(Reason::InvalidSpec)),
        // The runner does not find it, and records that.
        (optional(json!({ "name": "n" })), Ok(vec![(Path::new("inputs").to_owned(), None)])),
        (optional(json!({ "name": "m", "key": "none" })), Ok(vec![(Path::new("inputs").to_owned(), None)])),
        (optional(json!({ "name": "odd" })), Err(Reason::InvalidSpec)),
        // As a volume of it would be: a folder without files.
        (input(json!({ "name": "empty" })), Ok(vec![(Path::new("inputs/i").to_owned(), None)])),
    ];
    for (spec, expected) in rows {
        assert_eq!(files(&what(spec.clone()), &odd).map_err(|failure| failure.reason), expected, "{spec}");
    }
}
