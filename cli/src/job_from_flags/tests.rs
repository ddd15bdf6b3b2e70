//! Rows: flags, and the YAML they stand for.

use clap::Parser;

use super::*;

/// `wasmjob run` without the word before it.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Words {
    #[command(flatten)]
    run: RunArgs,
}

const CID0: &str = "QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJRQ";

fn flags(words: &[&str]) -> RunArgs {
    Words::try_parse_from(words).expect("the words make sense").run
}

fn environment(name: &str) -> Option<String> {
    (name == "FROM_HERE").then(|| "here".to_owned())
}

/// The spec that these words make, as YAML, and the files beside it.
fn check(words: &[&str], spec: &str, files: &[(&str, &str)]) {
    let flags = flags(words);
    let crate::source_arg::Target::Module(source) = &flags.target else { unreachable!("rows name modules") };
    let made = lay_over(job_for_module(source), &flags, environment);
    let expected = crds::yaml::read(spec).expect("the row is YAML").remove(0);
    assert_eq!(serde_json::to_value(&made.job.spec).expect("a spec is JSON"), expected, "{words:?}");
    let module = made.local.module.iter().map(|path| ("module".to_owned(), path.clone()));
    let found: Vec<_> = module.chain(made.local.inputs).collect();
    let files: Vec<_> = files.iter().map(|(name, path)| ((*name).to_owned(), PathBuf::from(path))).collect();
    assert_eq!(found, files, "{words:?}");
}

#[test]
fn modules_come_from_anywhere() {
    check(&["main.wasm"], "module: {}", &[("module", "main.wasm")]);
    check(&["https://h/m.wasm"], "module: {http: {url: 'https://h/m.wasm'}}", &[]);
    check(&["s3://bucket/m.wasm"], "module: {s3: {bucket: bucket, key: m.wasm}}", &[]);
    check(&[CID0], &format!("module: {{ipfs: {{cid: {CID0}}}}}"), &[]);
}

#[test]
fn every_flag_has_its_field() {
    check(
        &["m.wasm", "a", "-e", "K=v", "--entrypoint", "go", "--timeout", "5m", "--memory", "64Mi", "--fuel", "9"],
        "{module: {}, args: [a], env: [{name: K, value: v}], entrypoint: go, timeoutSeconds: 300,
          resources: {limits: {memory: 64Mi}}, wasmLimits: {fuel: 9}}",
        &[("module", "m.wasm")],
    );
}

#[test]
fn inputs_are_named_after_their_source_and_never_twice_the_same() {
    check(
        &[
            "m.wasm",
            "-i",
            "a/data.csv",
            "-i",
            "b/data.csv:/b",
            "-i",
            "http://example.com",
            "-u",
            "https://h/d.txt",
            "-v",
            &format!("{CID0}:in"),
        ],
        &format!(
            "module: {{}}
inputs:
- {{name: data}}
- {{name: data-2, mountPath: /b}}
- {{name: input, http: {{url: 'http://example.com'}}}}
- {{name: d, http: {{url: 'https://h/d.txt'}}}}
- {{name: cid-sbocarpjrq, mountPath: /in, ipfs: {{cid: {CID0}}}}}"
        ),
        &[("module", "m.wasm"), ("data", "a/data.csv"), ("data-2", "b/data.csv")],
    );
}

#[test]
fn outputs_are_added_to_the_default_one_or_change_it() {
    let local = &[("module", "m.wasm")];
    check(&["m.wasm", "-o", "plots:/plots"], "{module: {}, outputs: [{name: outputs}, {name: plots, mountPath: /plots}]}", local);
    check(&["m.wasm", "-o", "outputs:/results"], "{module: {}, outputs: [{name: outputs, mountPath: /results}]}", local);
    check(&["m.wasm", "-o", "plots:/outputs"], "{module: {}, outputs: [{name: plots, mountPath: /outputs}]}", local);
}

#[test]
fn a_variable_without_value_comes_from_here_or_not_at_all() {
    check(&["m.wasm", "-e", "FROM_HERE", "-e", "NOWHERE"], "{module: {}, env: [{name: FROM_HERE, value: here}]}", &[("module", "m.wasm")]);
    check(&["m.wasm", "-e", "A=1", "-e", "A=2"], "{module: {}, env: [{name: A, value: '2'}]}", &[("module", "m.wasm")]);
}

#[test]
fn flags_lie_over_a_document() {
    let document = "
apiVersion: wasmjob.dev/v1alpha1
kind: WasmJob
metadata: {name: from-yaml}
spec:
  module: {http: {url: 'https://h/m.wasm'}}
  args: [one, two]
  env: [{name: A, value: '1'}, {name: B, value: '2'}]
  stdin: {value: text}
  inputs: [{name: data, http: {url: 'https://h/d'}}]
  outputs: [{name: plots}]
  resources: {requests: {memory: 8Mi}, limits: {memory: 64Mi}}
  timeoutSeconds: 1
";
    let job = crds::validate::parse(&crds::yaml::read(document).expect("the document is YAML").remove(0)).expect("the document is a job");
    let said = LocalJob { job, local: LocalSources::default() };
    assert_eq!(lay_over(said.clone(), &flags(&["job.yaml"]), environment), said, "no flag changes nothing");
    let words = ["job.yaml", "three", "-e", "A=9", "-e", "C=3", "-i", "data.csv", "-o", "plots:/p", "--memory", "1Gi", "--stdin", "f"];
    let laid = lay_over(said, &flags(&[&words[..], &["--timeout", "9", "--name", "other"]].concat()), environment);
    let expected = "
module: {http: {url: 'https://h/m.wasm'}}
args: [three]
env: [{name: A, value: '9'}, {name: B, value: '2'}, {name: C, value: '3'}]
inputs: [{name: data, http: {url: 'https://h/d'}}, {name: data-2}]
outputs: [{name: plots, mountPath: /p}]
resources: {requests: {memory: 8Mi}, limits: {memory: 1Gi}}
timeoutSeconds: 9
";
    let expected = crds::yaml::read(expected).expect("the row is YAML").remove(0);
    assert_eq!(serde_json::to_value(&laid.job.spec).expect("a spec is JSON"), expected);
    assert_eq!((laid.job.metadata.name.as_deref(), laid.local.inputs.len()), (Some("other"), 1));
}
