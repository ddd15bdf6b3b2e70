use crds::job::WhatToRun;
use serde_json::{Value, json};

use super::check;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn what_may_change_at_its_source_is_named_with_the_remedy() {
    let http = json!({ "http": { "url": "https://example.com/a" } });
    let with = |source: &Value, digest: &str| {
        let mut source = source.clone();
        source["digest"] = digest.into();
        source
    };
    let object = json!({ "s3": { "bucket": "b", "key": "k", "versionId": "1" } });
    let pinned = json!({ "oci": { "image": format!("ghcr.io/a/b@{DIGEST}") } });
    let input = |source: &Value| {
        let mut input = source.clone();
        input["name"] = "data".into();
        json!({ "module": { "inline": "" }, "inputs": [input] })
    };
    // (spec, what must be in the refusal; none: it is not refused)
    let rows = [
        (json!({ "module": http }), "set spec.module.digest"),
        (json!({ "module": with(&http, DIGEST) }), ""),
        (json!({ "module": object }), "set spec.module.digest"),
        (json!({ "module": { "oci": { "image": "ghcr.io/a/b:1" } } }), "spec.module.oci.image (NAME@sha256:…)"),
        (json!({ "module": pinned }), ""),
        (json!({ "module": { "ipfs": { "cid": "bafy" } } }), ""),
        (json!({ "module": { "configMap": { "name": "a", "key": "b" } } }), ""),
        (input(&http), "set spec.inputs[data].digest"),
        (input(&with(&object, DIGEST)), ""),
        (input(&json!({ "s3": { "bucket": "b", "prefix": "p/" } })), "read single objects with spec.inputs[data].s3.key"),
        (input(&json!({ "inline": "" })), ""),
    ];
    for (spec, expected) in rows {
        let what: WhatToRun = serde_json::from_value(spec.clone()).expect("a spec");
        for required_in in [["team-a".to_owned()], ["*".to_owned()]] {
            let refused = check(&required_in, "team-a", &what).err().map_or(String::new(), |failure| failure.message);
            assert!(refused.contains(expected) && refused.is_empty() == expected.is_empty(), "{spec}: {refused}");
        }
        assert!(check(&["team-b".to_owned()], "team-a", &what).is_ok(), "{spec}");
    }
}
