//! Words on the command line → the YAML they stand for, or what is wrong with them. Nothing runs here.

use serde_json::{Value, json};

use crate::ran::Place;

const CID0: &str = "QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJRQ";
const CID1: &str = "bafybeifdpl6dw7atz6uealwjdklolvxrocavceorhb3eoq6y53cbtitbeu";
/// The smallest module, inline.
const INLINE: &str = "AGFzbQEAAAA=";

fn place() -> Place {
    let place = Place::new();
    for name in ["main.wasm", "echo.wasm", "prog.wasm"] {
        place.write(name, b"\0asm\x01\0\0\0");
    }
    place
}

fn check(words: &[&str], name: &str, spec: &Value) {
    let ran = place().run(&[&["run", "--dry-run"], words].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words:?}");
    let printed = crds::yaml::read(&ran.stdout).unwrap();
    let expected = json!({"apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": {"name": name}, "spec": spec});
    assert_eq!(printed, [expected], "{words:?}");
}

#[test]
fn every_call_of_the_earlier_systems_has_its_yaml() {
    let inline = || json!({"inline": INLINE});
    check(&["main.wasm"], "main", &json!({"module": inline()}));
    check(&[CID0], "cid-sbocarpjrq", &json!({"module": {"ipfs": {"cid": CID0}}}));
    check(&[CID1], "cid-53cbtitbeu", &json!({"module": {"ipfs": {"cid": CID1}}}));
    check(&["echo.wasm", "hello", "world"], "echo", &json!({"module": inline(), "args": ["hello", "world"]}));
    check(&[CID0, "hello"], "cid-sbocarpjrq", &json!({"module": {"ipfs": {"cid": CID0}}, "args": ["hello"]}));
    check(&["prog.wasm", "/inputs/data.txt"], "prog", &json!({"module": inline(), "args": ["/inputs/data.txt"]}));
    check(&["prog.wasm", "-e", "HELLO=world"], "prog", &json!({"module": inline(), "env": [{"name": "HELLO", "value": "world"}]}));
    check(&["prog.wasm", "--", "-e", "HELLO=world"], "prog", &json!({"module": inline(), "args": ["-e", "HELLO=world"]}));
    let inputs = json!([{"name": "cid-53cbtitbeu", "mountPath": "/inputs", "ipfs": {"cid": CID1}}]);
    check(
        &["prog.wasm", "_start", "-v", &format!("{CID1}:inputs")],
        "prog",
        &json!({"module": inline(), "args": ["_start"], "inputs": inputs}),
    );
    let inputs = json!([{"name": "input", "http": {"url": "http://example.com"}}]);
    check(&["prog.wasm", "-u", "http://example.com"], "prog", &json!({"module": inline(), "inputs": inputs}));
    check(&["prog.wasm", "--input", "http://example.com"], "prog", &json!({"module": inline(), "inputs": inputs}));
    let inputs = json!([{"name": "data", "mountPath": "/d", "s3": {"bucket": "bucket", "prefix": "data/"}}]);
    check(&["prog.wasm", "-i", "s3://bucket/data/:/d"], "prog", &json!({"module": inline(), "inputs": inputs}));
    let outputs = json!([{"name": "outputs"}, {"name": "plots", "mountPath": "/plots"}]);
    check(&["prog.wasm", "-o", "plots:/plots"], "prog", &json!({"module": inline(), "outputs": outputs}));
    check(&["prog.wasm", "--entrypoint", "go"], "prog", &json!({"module": inline(), "entrypoint": "go"}));
}

#[test]
fn limits_and_the_name_are_flags_too() {
    let words = ["main.wasm", "--name", "mine", "--timeout", "5m", "--memory", "64Mi", "--fuel", "9"];
    let limits = json!({"module": {"inline": INLINE}, "timeoutSeconds": 300, "resources": {"limits": {"memory": "64Mi"}}, "wasmLimits": {"fuel": 9}});
    check(&words, "mine", &limits);
}

#[test]
fn what_is_printed_is_accepted() {
    let place = place();
    let printed = place.run(&["run", "--print-yaml", "main.wasm", "-i", "main.wasm", "-e", "A=1"]).stdout;
    let ran = place.run_with_stdin(&["validate", "-"], &printed);
    assert_eq!(ran.code, Some(0), "{printed}{ran:?}");
}

#[test]
fn usage_errors_are_2_and_refusals_125() {
    let place = place();
    place.write("two.yaml", "{}\n---\n{}").write("dir/x", "");
    let check = |words: &[&str], code: i32, said: &str| {
        let ran = place.run(&[&["run"], words].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{words:?}: {ran:?}");
    };
    check(&[], 2, "JOB.yaml|MODULE");
    check(&["prog.wasm", "--width"], 2, "wasmjob run MODULE -- --its-flag");
    check(&["prog.wasm", "--timeout", "soon"], 2, "write seconds, or a time such as 30s, 5m or 1h30m");
    check(&["prog.wasm", "--memory", "256m"], 2, "write 256Mi");
    check(&["prog.wasm", "-i", "ftp://h/a"], 2, "use http, https, s3, ipfs or oci");
    check(&["https://h/job.yaml"], 2, "save it first");
    check(&["missing.wasm"], 125, "wasmjob: FetchNotFound: missing.wasm: ");
    check(&["prog.wasm", "-i", "missing.txt"], 125, "wasmjob: FetchNotFound: missing.txt: ");
    check(&["dir"], 125, "name the .wasm file in it");
    check(&["missing.yaml"], 125, "wasmjob: InvalidSpec: unable to read missing.yaml: ");
    check(&["two.yaml"], 125, "two.yaml holds 2 WasmJobs");
    check(&["prog.wasm", "--name", "Not_A_Name"], 125, "wasmjob: InvalidSpec: metadata.name: ");
    check(&["prog.wasm", "-o", "a:/x", "-o", "b:/x"], 125, "wasmjob: InvalidSpec: spec.outputs");
    check(&["prog.wasm", "-e", "A=1", "--memory", "5Gi"], 125, "spec.resources.limits.memory: ");
}

#[test]
fn a_refusal_has_a_status_too() {
    let place = place();
    let ran = place.run(&["run", "missing.wasm", "--status-file", "status.json"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    let status: Value = serde_json::from_str(&place.read("status.json")).unwrap();
    assert_eq!(status["conditions"][0]["reason"], "FetchNotFound", "{status}");
}

#[test]
fn version_completion_and_help_are_printed() {
    let place = Place::new();
    let version = place.run(&["version"]);
    assert_eq!((version.code, version.stdout), (Some(0), format!("wasmjob {}\n", env!("CARGO_PKG_VERSION"))));
    let script = place.run(&["completion", "bash"]);
    assert!(script.code == Some(0) && script.stdout.contains("--status-file"), "{script:?}");
    for words in [&["--help"][..], &["run", "--help"], &["validate", "--help"]] {
        let help = place.run(words);
        assert!(help.code == Some(0) && help.stdout.contains("Examples:"), "{help:?}");
    }
}
