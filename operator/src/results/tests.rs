use std::collections::BTreeMap;

use crds::digest::Digest;
use crds::reason::Reason;
use crds::report::{ByteString, ConfigMapFiles, Report, ResultReport};
use serde_json::{Value, json};

use super::config_maps;
use crate::fixtures::{FENCE, ended, entry, job, second};

/// Outputs a and b, of which a becomes these ConfigMaps.
fn outputs(names: &[&str]) -> Value {
    let publish: Vec<Value> = names.iter().map(|name| json!({ "configMap": { "name": name } })).collect();
    json!({ "outputs": [{ "name": "a", "publish": publish }, { "name": "b" }] })
}

/// Of an attempt that ended so and published output a, with these files for ConfigMaps.
fn report(reason: Reason, uri: Option<&str>, files: &[(&str, &[u8])]) -> Report {
    let mut report = ended(reason).ended.expect("it has ended").report(Some(second(10)));
    let digest = Digest::of(b"");
    let uri = uri.map(str::to_owned);
    report.results = vec![ResultReport { name: "a".to_owned(), uri, more_uris: Vec::new(), size_bytes: 1, files: 1, digest }];
    let files: BTreeMap<_, _> = files.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect();
    report.config_maps = if files.is_empty() { Vec::new() } else { vec![ConfigMapFiles { output: "a".to_owned(), files }] };
    report
}

#[test]
fn a_result_becomes_the_config_maps_that_its_spec_names_and_no_others() {
    let job = job(outputs(&["{job}-{run}-{index}", "second"]));
    for (uri, expected) in [
        (None, vec!["configmap://team-a/carve-1-0", "configmap://team-a/second"]),
        (Some("s3://x/"), vec!["s3://x/", "configmap://team-a/carve-1-0", "configmap://team-a/second"]),
    ] {
        let mut report = report(Reason::GuestExit, uri, &[("stdout", b"hello")]);
        let maps = config_maps(&job, &entry(&job, 2), &mut report).expect("they can be made");
        let named: Vec<_> = maps.iter().map(|map| map.name.as_str()).collect();
        assert_eq!(named, ["carve-1-0", "second"]);
        assert!(maps.iter().all(|map| map.result == format!("1-0-2-{FENCE}/a") && map.files["stdout"].0 == b"hello"));
        let result = &report.results[0];
        let uris: Vec<_> = result.uri.iter().chain(&result.more_uris).map(String::as_str).collect();
        assert_eq!(uris, expected);
    }
    // Nobody asked for it, whatever the node says.
    let other = crate::fixtures::job(json!({}));
    assert_eq!(config_maps(&other, &entry(&other, 1), &mut report(Reason::Completed, None, &[("a", b"")])), Ok(Vec::new()));
}

#[test]
fn what_no_config_map_can_hold_is_refused_whatever_the_node_says() {
    let (large, long) = (vec![0; (16 << 10) + 1], format!("{{job}}-{}", "x".repeat(250)));
    let many: Vec<String> = (0..65).map(|number| format!("f{number}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    for (name, files, says) in [
        ("a", vec![], "has no files"),
        ("a", vec![("big", large.as_slice())], "more than the 16384"),
        ("a", many, "more than the 64"),
        ("a", vec![("../x", &b""[..])], "no key of a ConfigMap"),
        ("a", vec![("..x", &b""[..])], "no key of a ConfigMap"),
        (long.as_str(), vec![("x", &b""[..])], "more than 253 characters"),
    ] {
        let job = job(outputs(&[name]));
        let (mut seen, before) = (report(Reason::Completed, None, &files), report(Reason::Completed, None, &files));
        let why = config_maps(&job, &entry(&job, 1), &mut seen).expect_err(says);
        assert!(why.contains(says), "{why}");
        assert_eq!(seen, before, "{says}");
    }
}

/// A report that had to be shrunk has nothing of its results: a success would hide that. A guest that was killed has none.
#[test]
fn a_success_without_its_results_is_none() {
    let job = job(outputs(&["a"]));
    for (reason, is_refused) in [(Reason::Completed, true), (Reason::MemoryLimit, false), (Reason::OutputTooLarge, false)] {
        let mut report = report(reason, None, &[]);
        report.results.clear();
        assert_eq!(config_maps(&job, &entry(&job, 1), &mut report).is_err(), is_refused, "{reason:?}");
    }
}
