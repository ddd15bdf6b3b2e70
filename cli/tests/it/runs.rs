//! Real runs of small programs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::guests;
use crate::ran::{Place, ended, files};

#[test]
fn the_exit_code_is_the_guests() {
    for (code, seen) in
        [(0, 0), (1, 1), (42, 42), (124, 124), (125, 125), (126, 126), (127, 127), (134, 134), (255, 255), (256, 255), (-1, 255)]
    {
        let place = Place::new();
        let ran = place.write("p.wasm", guests::exits(code)).run(&["run", "p.wasm"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(seen), ""), "{code}: {ran:?}");
        assert_eq!(ran.stderr.starts_with("wasmjob: GuestExit: "), code != 0, "{code}: {ran:?}");
    }
}

/// What happens, the module, flags, exit code and reason.
type Row = (&'static str, Vec<u8>, &'static [&'static str], i32, &'static str);

#[test]
fn every_other_ending_has_its_own_number_and_reason() {
    let rows: [Row; 8] = [
        ("a trap", guests::start("unreachable"), &[], 134, "Trap"),
        ("a deadline", guests::loops(), &["--timeout", "1"], 124, "Timeout"),
        ("a memory limit", guests::eats_memory(), &["--memory", "16Mi"], 137, "MemoryLimit"),
        ("fuel", guests::loops(), &["--fuel", "100000"], 134, "OutOfFuel"),
        ("no module", b"<html>not found</html>".to_vec(), &[], 125, "ModuleInvalid"),
        ("an ELF file", b"\x7fELF\x02\x01\x01".to_vec(), &[], 125, "ModuleInvalid"),
        ("an unknown import", wat::parse_str(r#"(module (import "env" "foo" (func)))"#).unwrap(), &[], 125, "ImportNotAllowed"),
        ("a missing entrypoint", guests::exits(0), &["--entrypoint", "nothing"], 125, "ModuleInvalid"),
    ];
    for (what, module, flags, code, reason) in rows {
        let place = Place::new();
        let words = [&["run", "p.wasm", "--status-file", "s.json"], flags].concat();
        let ran = place.write("p.wasm", module).run(&words);
        assert_eq!(ran.code, Some(code), "{what}: {ran:?}");
        assert!(ran.stderr.starts_with(&format!("wasmjob: {reason}: ")), "{what}: {ran:?}");
        let status: Value = serde_json::from_str(&place.read("s.json")).unwrap();
        assert_eq!(status["conditions"][0]["reason"], reason, "{what}: {status}");
    }
}

#[test]
fn a_document_runs_as_flags_do() {
    let place = Place::new();
    let module = place.write("p.wasm", guests::cat()).run(&["run", "p.wasm", "--dry-run", "--name", "from-yaml"]).stdout;
    place.write("job.yaml", format!("{module}  stdin: {{value: \"from the document\\n\"}}\n"));
    let ran = place.run_with_stdin(&["run", "job.yaml"], "never read");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "ready\nfrom the document\n", ""));
    let ran = place.run_with_stdin(&["run", "job.yaml", "--stdin", "-"], "from the flag\n");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\nfrom the flag\n"), "{ran:?}");
    let ran = place.run_with_stdin(&["run", "-"], &place.read("job.yaml"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\nfrom the document\n"), "{ran:?}");
}

#[test]
fn a_wrong_digest_runs_nothing() {
    let place = Place::new();
    let yaml = place.write("p.wasm", guests::exits(0)).run(&["run", "p.wasm", "--dry-run"]).stdout;
    let digest = format!("module:\n    digest: sha256:{}\n", "0".repeat(64));
    let ran = place.write("job.yaml", yaml.replacen("module:\n", &digest, 1)).run(&["run", "job.yaml"]);
    assert_eq!(ran.code, Some(125), "{ran:?}");
    assert!(ran.stderr.starts_with("wasmjob: DigestMismatch: "), "{ran:?}");
}

/// What the job names of a cluster, what of it is said, and what flag, if any, puts something else in its place.
#[test]
fn a_config_map_is_refused_by_its_field_with_what_to_use_instead() {
    let rows: [(&str, &str, &str, &[&str]); 9] = [
        ("{module: {configMap: {name: code, key: p.wasm}}}", "spec.module.configMap", "inline", &[]),
        ("{M, inputs: [{name: in, configMap: {name: c}}]}", "spec.inputs[in].configMap", "inline", &[]),
        ("{M, env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: a}}}]}", "spec.env[A].valueFrom", "write its value", &[]),
        ("{M, env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: a}}}]}", "", "", &["-e", "A=b"]),
        ("{M, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: a}}}]}", "spec.env[A].valueFrom", "write its value", &[]),
        ("{M, inputs: [{name: in, secret: {name: s}}]}", "spec.inputs[in].secret", "inline", &[]),
        ("{M, envFrom: [{configMapRef: {name: c}}]}", "spec.envFrom", "into env", &[]),
        ("{M, stdin: {valueFrom: {configMapKeyRef: {name: c, key: a}}}}", "spec.stdin.valueFrom", "an input", &[]),
        ("{M, stdin: {valueFrom: {configMapKeyRef: {name: c, key: a}}}}", "", "", &["--stdin", "job.yaml"]),
    ];
    let inline = format!("module: {{inline: {}}}", BASE64.encode(guests::exits(0)));
    for (spec, field, instead, flags) in rows {
        let spec = spec.replace("{M,", &format!("{{{inline},"));
        let place = Place::new();
        place.write("job.yaml", format!("apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {{name: j}}\nspec: {spec}\n"));
        let ran = place.run(&[&["run", "job.yaml"], flags].concat());
        let expected = if field.is_empty() { 0 } else { 125 };
        assert_eq!(ran.code, Some(expected), "{spec}: {ran:?}");
        let said = format!("wasmjob: InvalidSpec: {field}: ConfigMaps and Secrets exist in a cluster only");
        assert!(field.is_empty() || ran.stderr.starts_with(&said) && ran.stderr.contains(instead), "{spec}: {ran:?}");
    }
}

#[test]
fn stdin_is_passed_where_something_was_put_there() {
    let place = Place::new();
    place.write("p.wasm", guests::cat()).write("text", "from a file\n");
    assert_eq!(place.run(&["run", "p.wasm"]).stdout, "ready\n");
    assert_eq!(place.run(&["run", "p.wasm", "--stdin", "text"]).stdout, "ready\nfrom a file\n");
    assert_eq!(place.run_with_stdin(&["run", "p.wasm"], "from a pipe\n").stdout, "ready\nfrom a pipe\n");
    let redirected = place.command(&["run", "p.wasm"]).stdin(std::fs::File::open(place.path().join("text")).unwrap()).spawn().unwrap();
    assert_eq!(ended(redirected).stdout, "ready\nfrom a file\n");
    let missing = place.run(&["run", "p.wasm", "--stdin", "nothing"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(125), ""), "{missing:?}");
}

#[test]
fn stdout_comes_while_the_guest_runs() {
    let place = Place::new();
    place.write("p.wasm", guests::cat());
    let mut child = place.command(&["run", "p.wasm"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The guest cannot end before its stdin does, which is still open.
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child.stdin.take().unwrap().write_all(b"rest").unwrap();
    let ran = ended(child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!((ran.code, rest.as_str()), (Some(0), "rest"), "{ran:?}");
}

#[test]
fn arguments_and_variables_arrive() {
    let place = Place::new();
    place.write("p.wasm", guests::tells_arguments());
    let words = ["run", "p.wasm", "hello", "-e", "HELLO=world", "-e", "FROM_HERE", "-e", "NOWHERE", "--", "-e", "x y"];
    let ran = ended(place.command(&words).env("FROM_HERE", "here").spawn().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "p.wasm\0hello\0-e\0x y\0"), "{ran:?}");
    let variables: Vec<_> = ran.stderr.split_terminator('\0').filter(|variable| !variable.starts_with("WASMJOB_")).collect();
    let ours = ["HELLO=world", "FROM_HERE=here"].map(|variable| variables.contains(&variable));
    assert_eq!(ours, [true, true], "{ran:?}");
    assert!(!ran.stderr.contains("NOWHERE") && !ran.stderr.contains("HOME="), "{ran:?}");
}

#[test]
fn start_as_an_argument_earns_a_warning() {
    let place = Place::new();
    let ran = place.write("p.wasm", guests::tells_arguments()).run(&["run", "p.wasm", "_start"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "p.wasm\0_start\0"), "{ran:?}");
    assert!(ran.stderr.starts_with("wasmjob: warning: _start ") && ran.stderr.contains("--entrypoint"), "{ran:?}");
}

#[test]
fn outputs_land_beside_the_caller_and_the_same_command_runs_again() {
    let place = Place::new();
    place.write("p.wasm", guests::writes_outputs(0));
    for _ in 0..2 {
        let ran = place.run(&["run", "p.wasm"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "silent where stderr is no terminal");
        assert_eq!(files(&place.path()), ["p-outputs/a.txt", "p.wasm"]);
    }
    assert_eq!(place.read("p-outputs/a.txt"), "ready\n");
    place.write("p-outputs/notes.txt", "mine");
    let refused = place.run(&["run", "p.wasm"]);
    assert!(refused.code == Some(125) && refused.stderr.contains("--overwrite"), "{refused:?}");
    assert_eq!(place.run(&["run", "p.wasm", "--overwrite"]).code, Some(0));
    assert_eq!(place.run(&["run", "p.wasm", "--output-dir", "deep/er"]).code, Some(0));
    assert_eq!(files(&place.path()), ["deep/er/a.txt", "p-outputs/a.txt", "p-outputs/notes.txt", "p.wasm"]);
}

#[test]
fn several_outputs_get_a_folder_each_and_failure_keeps_them() {
    let place = Place::new();
    place.write("p.wasm", guests::writes_outputs(3));
    let ran = place.run(&["run", "p.wasm", "-o", "other:/other", "--status-file", "-"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(files(&place.path()), ["p-outputs/other/a.txt", "p-outputs/outputs/a.txt", "p.wasm"]);
    let status = crds::yaml::read(&ran.stdout).unwrap().remove(0);
    let names: Vec<_> = status["results"].as_array().unwrap().iter().map(|result| result["name"].as_str().unwrap()).collect();
    assert_eq!((names, status["output"]["exitCode"].as_i64()), (vec!["outputs", "other"], Some(3)), "{status}");
}

#[test]
fn local_files_and_directories_are_inputs() {
    let place = Place::new();
    place.write("p.wasm", guests::reads_inputs()).write("data/a.txt", "from a directory\n").write("more/a.txt", "from a file\n");
    for (inputs, text) in [(["-i", "data/"], "from a directory\n"), (["-i", "more/a.txt:/in"], "from a file\n")] {
        let ran = place.run(&[&["run", "p.wasm"][..], &inputs].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), text), "{ran:?}");
    }
    // Flags add to what a document says.
    let yaml = place.run(&["run", "p.wasm", "--dry-run"]).stdout;
    let ran = place.write("job.yaml", yaml).run(&["run", "job.yaml", "-i", "data/"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "from a directory\n"), "{ran:?}");
}

#[test]
fn signals_end_the_run_with_their_number() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let place = Place::new();
        place.write("p.wasm", guests::loops());
        let mut child = place.command(&["run", "p.wasm", "--status-file", "s.yaml"]).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran = ended(child);
        // Nobody holds the guest's end any more: it is gone.
        stdout.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.starts_with("wasmjob: Cancelled: "), "{ran:?}");
        assert!(place.read("s.yaml").contains("Cancelled"));
    }
}

#[test]
fn a_reader_who_leaves_early_breaks_nothing() {
    let place = Place::new();
    place.write("p.wasm", guests::floods());
    let mut child = place.command(&["run", "p.wasm", "--timeout", "2"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let ran = ended(child);
    assert!(ran.code.is_some() && !ran.stderr.contains("panicked"), "{ran:?}");
}
