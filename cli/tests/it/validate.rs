//! `wasmjob validate` on good and bad files.

use crate::ran::Place;

const GOOD: &str = "apiVersion: wasmjob.dev/v1alpha1
kind: WasmJob
metadata: {name: seam-carve}
spec:
  module: {http: {url: 'https://example.com/seam.wasm'}}
  args: ['5']
";

#[test]
fn a_good_document_is_accepted() {
    let ran = Place::new().write("job.yaml", GOOD).run(&["validate", "job.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "job.yaml: document 1 (seam-carve): accepted\n", ""));
}

#[test]
fn json_and_standard_input_are_read_too() {
    let place = Place::new();
    let json = r#"{"apiVersion":"wasmjob.dev/v1alpha1","kind":"WasmJob","metadata":{"name":"j"},"spec":{"module":{"http":{"url":"https://h/m"}}}}"#;
    let ran = place.write("job.json", json).run_with_stdin(&["validate", "job.json", "-"], GOOD);
    let said = "job.json: document 1 (j): accepted\nstandard input: document 1 (seam-carve): accepted\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), said), "{ran:?}");
}

/// What the API server refuses: the field that is wrong, in a document that is good but for this.
#[test]
fn a_bad_field_is_named() {
    let rows = [
        ("args: ['5']", "args: [5]", "spec.args[0]: "),
        ("args: ['5']", "arguments: ['5']", "spec.arguments: "),
        ("args: ['5']", "timeoutSeconds: 0", "spec.timeoutSeconds: "),
        ("args: ['5']", "timeoutSeconds: 1h", "spec.timeoutSeconds: "),
        ("args: ['5']", "args: [\"a\\0b\"]", "spec.args: "),
        ("args: ['5']", "inputs: [{name: a, mountPath: /in/../.., inline: AAAA}]", "spec.inputs[0].mountPath: "),
        ("args: ['5']", "resources: {limits: {memory: 256MB}}", "spec.resources.limits.memory: "),
        ("http: {url: 'https://example.com/seam.wasm'}", "", "spec.module: "),
        ("http: {url:", "inline: AAAA, http: {url:", "spec.module: "),
        ("http: {url:", "digest: 'md5:0', http: {url:", "spec.module.digest: "),
        ("kind: WasmJob", "kind: WasmJop", "kind: "),
        ("metadata: {name: seam-carve}", "metadata: {}", "metadata.name: "),
    ];
    for (good, bad, field) in rows {
        let ran = Place::new().write("job.yaml", GOOD.replace(good, bad)).run(&["validate", "job.yaml"]);
        assert_eq!(ran.code, Some(1), "{bad}: {ran:?}");
        let is_named = ran.stdout.lines().any(|line| line.split_once("): ").is_some_and(|(_, said)| said.starts_with(field)));
        assert!(is_named, "{bad} is said of {field}: {ran:?}");
    }
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_still_checked() {
    let place = Place::new();
    let ran = place.write("broken.yaml", "a: [").write("good.yaml", GOOD).run(&["validate", "missing.yaml", "broken.yaml", "good.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "good.yaml: document 1 (seam-carve): accepted\n"), "{ran:?}");
    assert!(ran.stderr.contains("unable to read missing.yaml: ") && ran.stderr.contains("broken.yaml: line "), "{ran:?}");
}
