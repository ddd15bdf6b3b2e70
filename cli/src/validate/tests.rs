//! What is said of files.

use super::*;

fn said(text: &str) -> Findings {
    findings_in("f.yaml", &document::documents(text, "f.yaml").expect("the row is YAML"))
}

#[test]
fn each_job_gets_its_lines_and_other_kinds_a_note() {
    let text = "apiVersion: wasmjob.dev/v1alpha1
kind: WasmJob
metadata: {name: good}
spec: {module: {http: {url: 'https://h/m.wasm'}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: beside}
---
apiVersion: wasmjob.dev/v1alpha1
kind: WasmJob
metadata: {name: bad}
spec: {module: {http: {url: 'https://h/m.wasm'}}, args: [5]}
";
    let Findings { stdout, stderr, refused } = said(text);
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines[0], "f.yaml: document 1 (good): accepted");
    assert!(lines[1].starts_with("f.yaml: document 3 (bad): spec.args[0]: "), "{stdout}");
    assert_eq!(stderr, "f.yaml: document 2 (beside): skipped: ConfigMap is no kind of wasmjob.dev\n");
    assert!(refused);
}

#[test]
fn a_file_without_a_job_is_no_success() {
    let Findings { stdout, stderr, refused } = said("");
    assert_eq!((stdout.as_str(), stderr.as_str(), refused), ("", "wasmjob: f.yaml holds no WasmJob\n", true));
}
