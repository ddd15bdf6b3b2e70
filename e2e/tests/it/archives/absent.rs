//! Inputs that may be absent.

use e2e::{Answer, Minio, Registry, Server};
use serde_json::json;

use crate::place::Place;

/// Fails unless /inputs/maybe is a directory that can be opened and holds nothing called `file`.
const LOOKS: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "file")
    (func (export "_start")
        ;; The first directory of a guest is number 3; 44 is ENOENT.
        (if (i32.ne (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)) (i32.const 44))
            (then (call $exit (i32.const 1))))))"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_optional_input_that_is_not_there_is_an_empty_directory_and_recorded() {
    let (server, minio, registry) =
        (Server::start().expect("it starts"), Minio::start().await.expect("MinIO starts"), Registry::start().expect("it starts"));
    minio.create_bucket("data").await.expect("created");
    let place = Place::new().with_s3(&minio, Some(minio.keys()));
    let module = server.answer("/looks.wasm", Answer::bytes(wat::parse_str(LOOKS).expect("a module")));
    let run = |input: &str, more: &str| {
        let document = format!(
            "apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {{name: looks}}\nspec:\n  module: {{http: {{url: '{module}'}}}}\n  \
             inputs:\n  - {{name: maybe, {input}}}\n  outputs: []\n{more}"
        );
        let ran = place.write("job.yaml", document).run(&["run", "job.yaml", "--status-file", "s.json"]);
        (ran, place.status())
    };
    let there = server.answer("/there/file", Answer::bytes("x"));
    let nowhere = server.url("/nowhere");
    let absent = [
        format!("http: {{url: '{nowhere}'}}"),
        format!("http: {{url: '{nowhere}'}}, unpack: Tar"),
        "s3: {bucket: data, key: nothing}".to_owned(),
        "s3: {bucket: data, prefix: nothing/}".to_owned(),
        "s3: {bucket: data, prefix: '', pattern: '*.csv'}".to_owned(),
        format!("oci: {{image: '{}'}}", registry.image("nothing", ":1")),
    ];
    for source in &absent {
        let (ran, status) = run(&format!("{source}, optional: true"), "");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{source}: {ran:?}");
        assert_eq!(status["absentInputs"], json!(["maybe"]), "{source}");
        let (ran, status) = run(source, "");
        assert!(ran.code == Some(125) && ran.stderr.contains("FetchNotFound: spec.inputs[maybe]"), "{source}: {ran:?}");
        assert!(status["absentInputs"].is_null(), "{source}");
    }
    // Read as stdin, it is at its end from the start.
    let (ran, _) = run(&format!("{}, optional: true", absent[0]), "  stdin: {input: {name: maybe, path: file}}\n");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    // What is there is not absent, and what is refused is not either.
    let (ran, status) = run(&format!("http: {{url: '{there}'}}, optional: true"), "");
    assert!(ran.code == Some(1) && status["absentInputs"].is_null(), "{ran:?} {status}");
    let denied = server.answer("/denied", Answer::status(403));
    let (ran, status) = run(&format!("http: {{url: '{denied}'}}, optional: true"), "");
    assert!(ran.stderr.contains("FetchDenied: spec.inputs[maybe]") && status["absentInputs"].is_null(), "{ran:?} {status}");
}
