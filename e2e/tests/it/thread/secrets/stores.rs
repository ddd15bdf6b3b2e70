//! Credentials of S3 stores: those of a Secret for what names it, the administrator's for their own endpoint, and nothing for any other.

use std::fs;

use e2e::{Minio, Server};
use serde_json::{Value, json};

use super::super::guests::inline;
use super::super::stage::Stage;
use super::{grant, secret};

const BUCKET: &str = "data";

/// The keys of a store, as a Secret holds them.
pub(super) fn keys(minio: &Minio) -> Value {
    json!({ "accessKeyId": minio.keys().access_key, "secretAccessKey": minio.keys().secret_key })
}

async fn minio() -> Minio {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket(BUCKET).await.expect("created");
    minio.put(BUCKET, "in/word", "go on").await.expect("stored");
    minio
}

/// Sleeps for some seconds, then makes a file in its output, which is its second directory.
pub(super) fn makes(seconds: u64) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 200) "made")
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const {}))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
    (if (call $open (i32.const 4) (i32.const 0) (i32.const 200) (i32.const 4) (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0)
          (i32.const 8))
      (then unreachable))))"#,
        seconds * 1_000_000_000
    )
}

/// Reads a word from the bucket and writes a file to it, with the credentials of that Secret or without any.
pub(super) fn reads_and_writes(minio: &Minio, endpoint: bool, secret: Option<&str>) -> Value {
    let mut s3 = json!({ "bucket": BUCKET });
    if endpoint {
        s3["endpoint"] = minio.endpoint().into();
    }
    if let Some(name) = secret {
        s3["credentialsSecretRef"] = json!({ "name": name });
    }
    let with = |field: &str, value: &str| {
        let mut s3 = s3.clone();
        s3[field] = value.into();
        s3
    };
    json!({
        "module": inline(&makes(0)),
        "inputs": [{ "name": "word", "mountPath": "/word", "s3": with("key", "in/word") }],
        "outputs": [{ "name": "outputs", "publish": [{ "s3": with("prefix", "out/{job}/") }] }],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_and_a_publisher_use_the_credentials_of_their_secret() {
    let minio = minio().await;
    let stage = Stage::new("s3-secrets").await;
    secret(&stage, "keys", &keys(&minio)).await;
    let mut with_endpoint = keys(&minio);
    with_endpoint["endpoint"] = minio.endpoint().into();
    secret(&stage, "whole", &with_endpoint).await;
    secret(&stage, "wrong", &json!({ "accessKeyId": minio.keys().access_key, "secretAccessKey": "wrong" })).await;
    for name in ["keys", "whole", "wrong"] {
        grant(&stage, name);
    }
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let rows = [
        ("with-keys", reads_and_writes(&minio, true, Some("keys")), "Completed"),
        ("with-endpoint", reads_and_writes(&minio, false, Some("whole")), "Completed"),
        ("with-wrong-keys", reads_and_writes(&minio, true, Some("wrong")), "CredentialDenied"),
        ("without-keys", reads_and_writes(&minio, true, None), "CredentialDenied"),
    ];
    for (name, spec, _) in &rows {
        stage.create(name, spec.clone()).await;
    }
    for (name, _, expected) in rows {
        let (reason, status) = stage.ended(name).await;
        assert_eq!(reason, expected, "{name}: {status:?}");
        let published = minio.list(BUCKET).await.expect("listed").iter().any(|key| key.starts_with(&format!("out/{name}/")));
        assert_eq!(published, expected == "Completed", "{name}");
    }
}

/// A tenant who names an endpoint of his own must not see what the administrator's credentials sign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_administrators_credentials_sign_for_their_own_endpoint_alone() {
    let minio = minio().await;
    let server = Server::start().expect("it starts");
    let mut stage = Stage::new("s3-foreign").await;
    let file = stage.path("s3.yaml");
    let grant = json!([{
        "name": "ours", "namespaces": [stage.namespace], "endpoint": minio.endpoint(), "region": e2e::minio::REGION,
        "accessKeyId": minio.keys().access_key, "secretAccessKey": minio.keys().secret_key,
    }]);
    fs::write(&file, grant.to_string()).expect("written");
    stage.agent_flags = ["--s3-credentials", file.to_str().expect("text")].map(str::to_owned).to_vec();
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    // Its own endpoint, named or not.
    stage.create("own", reads_and_writes(&minio, false, None)).await;
    stage.create("named", reads_and_writes(&minio, true, None)).await;
    let foreign = |field: &str| {
        let mut spec = reads_and_writes(&minio, true, None);
        *spec.pointer_mut(field).expect("it has one") = server.url("").into();
        spec
    };
    stage.create("reads", foreign("/inputs/0/s3/endpoint")).await;
    stage.create("writes", foreign("/outputs/0/publish/0/s3/endpoint")).await;
    for (name, expected) in [("own", "Completed"), ("named", "Completed"), ("reads", "FetchNotFound"), ("writes", "PublishFailed")] {
        let (reason, status) = stage.ended(name).await;
        assert_eq!(reason, expected, "{name}: {status:?}");
    }
    let requests = server.requests();
    assert!(requests.iter().any(|request| request.method == "PUT") && requests.iter().any(|request| request.method != "PUT"));
    for request in requests {
        let signed = ["authorization", "x-amz-security-token"].iter().any(|header| request.header(header).is_some());
        assert!(!signed && !request.target.contains("X-Amz-Signature"), "{request:?}");
    }
}
