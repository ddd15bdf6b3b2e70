//! What the administrator lets jobs fetch: from which addresses, and with which digests.

use base64::Engine as _;
use crds::digest::Digest;
use e2e::{Answer, Server};
use serde_json::{Value, json};

use super::stage::{HELLO, Stage, inline};

/// A server with the module that says hello, and its bytes.
fn serving() -> (Server, String, Vec<u8>) {
    let module = inline(HELLO)["inline"].as_str().map(str::to_owned).expect("base64");
    let module = base64::engine::general_purpose::STANDARD.decode(module).expect("base64");
    let server = Server::start().expect("a port is free");
    let url = server.answer("/hello.wasm", Answer::bytes(module.clone()));
    (server, url, module)
}

/// Runs each spec and compares how it ends and what is said of it.
async fn check(stage: &mut Stage, rows: Vec<(&str, Value, &str, &str)>) {
    for (name, spec, expected, text) in rows {
        let id = stage.run(name, spec).await;
        let (reason, report) = stage.ended(&id).await;
        let message = report.ended.expect("it has ended").message;
        assert!(reason == expected && message.contains(text), "{name}: {reason} instead of {expected}: {message}");
    }
}

#[tokio::test]
async fn what_may_change_at_its_source_needs_its_digest_where_that_is_required() {
    let mut stage = Stage::new("digests").await;
    let (server, url, module) = serving();
    let identity = stage.identity("only").await;
    let namespace = stage.namespace.clone();
    let _agent = stage.start(&identity, &["--require-digests", "another", "--require-digests", &namespace]);
    stage.ready().await;
    let digest = Digest::of(&module).to_string();
    let undigested = json!({ "name": "data", "http": { "url": url } });
    let rows = vec![
        ("without", json!({ "module": { "http": { "url": url } } }), "FetchDenied", "set spec.module.digest"),
        ("input", json!({ "module": inline(HELLO), "inputs": [undigested] }), "FetchDenied", "set spec.inputs[data].digest"),
    ];
    check(&mut stage, rows).await;
    assert!(server.requests().is_empty(), "nothing is asked for what is refused: {:?}", server.requests());
    let rows = vec![("with", json!({ "module": { "http": { "url": url }, "digest": digest } }), "Completed", "")];
    check(&mut stage, rows).await;
}

#[tokio::test]
async fn of_what_is_not_public_only_what_was_allowed_is_reached() {
    let mut stage = Stage::new("allowed").await;
    let (server, url, _) = serving();
    let identity = stage.identity("only").await;
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port").to_owned();
    let _agent = stage.start(&identity, &["--allow-network", "127.0.0.0/9", "--allow-host", "localhost", "--allow-port", &port]);
    stage.ready().await;
    let from = |host: &str, port: &str| json!({ "module": { "http": { "url": format!("http://{host}:{port}/hello.wasm") } } });
    let rows = vec![
        ("network", from("127.0.0.1", &port), "Completed", ""),
        ("outside", from("127.200.0.1", &port), "FetchDenied", "127.200.0.1"),
        ("private", from("10.1.2.3", &port), "FetchDenied", "10.1.2.3"),
        ("port", from("127.0.0.1", "1"), "FetchDenied", "port 1"),
        ("name", from("kubernetes.default.svc", &port), "FetchDenied", "a name of an internal network"),
    ];
    check(&mut stage, rows).await;
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
}
