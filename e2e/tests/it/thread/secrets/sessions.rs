//! Sessions in place of keys, opened at MinIO's own STS: what a node gets, what it may do with it, and that it gets a new one in time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use aws_sdk_s3::primitives::ByteStream;
use crds::secret::{Reach, S3Use};
use e2e::Minio;
use operator::sessions::{Attempt, policy};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::guests::inline;
use super::super::stage::Stage;
use super::stores::{keys, makes, reads_and_writes};
use super::{grant, secret};

/// What clients sent.
type Sent = Arc<Mutex<Vec<u8>>>;

/// Passes bytes on, and keeps those that clients send. Ends with the runtime.
async fn relay(server: SocketAddr) -> (SocketAddr, Sent) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let (address, sent) = (listener.local_addr().expect("it has one"), Sent::default());
    let kept = sent.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, server, kept.clone()));
        }
    });
    (address, sent)
}

async fn pass(client: TcpStream, server: SocketAddr, kept: Sent) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), server.into_split());
    let requests = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            kept.lock().expect("nobody panicked").extend_from_slice(&buffer[..read]);
            if to.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        _ = tokio::io::copy(&mut answers, &mut back) => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_gets_a_session_for_this_attempt_and_never_the_keys() {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket("data").await.expect("created");
    minio.put("data", "in/word", "go on").await.expect("stored");
    let server = minio.endpoint().trim_start_matches("http://").parse().expect("an address");
    let (address, sent) = relay(server).await;
    let endpoint = format!("http://{address}");
    let mut stage = Stage::new("sessions").await;
    // A session that ends in 900 seconds, the shortest that there is, is renewed when it is 15 old.
    let sts = format!("{endpoint}={}", minio.endpoint());
    let flags = ["--sts-endpoint", &sts, "--session-seconds", "900", "--session-renew-seconds", "885"];
    stage.operator_flags = flags.map(str::to_owned).to_vec();
    secret(&stage, "keys", &keys(&minio)).await;
    secret(&stage, "wrong", &json!({ "accessKeyId": minio.keys().access_key, "secretAccessKey": "wrong" })).await;
    for name in ["keys", "wrong"] {
        grant(&stage, name);
    }
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let through = |secret: &str, seconds: u64| {
        let mut spec = reads_and_writes(&minio, true, Some(secret));
        spec["module"] = inline(&makes(seconds));
        for place in ["/inputs/0/s3/endpoint", "/outputs/0/publish/0/s3/endpoint"] {
            *spec.pointer_mut(place).expect("it has one") = endpoint.as_str().into();
        }
        spec
    };
    stage.create("long", through("keys", 25)).await;
    stage.create("wrong", through("wrong", 0)).await;
    let until = async || {
        let nodes = stage.nodes().list(&kube::api::ListParams::default()).await.expect("listed");
        nodes.items.iter().flat_map(|node| node.spec.sealed.values()).find_map(|sealed| sealed.until)
    };
    let first = stage.until("a session is sealed", &until).await;
    let (reason, status) = stage.ended("wrong").await;
    let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").expect("always there");
    assert_eq!(reason, "CredentialDenied", "{status:?}");
    assert!(finished.message.contains("opens no session with these credentials"), "{}", finished.message);
    stage.says("long", "Running").await;
    let renewed = async || until().await.filter(|until| *until > first);
    stage.until("the session is renewed while the guest runs", renewed).await;
    let (reason, status) = stage.ended("long").await;
    assert_eq!(reason, "Completed", "{status:?}");
    assert!(minio.list("data").await.expect("listed").iter().any(|key| key.starts_with("out/long/1-0-1-")));
    stage.settles().await;
    let sent = String::from_utf8_lossy(&sent.lock().expect("nobody panicked")).into_owned();
    assert!(sent.contains("PUT /data/out/long/") && sent.to_lowercase().contains("x-amz-security-token"), "{sent}");
    assert!(!sent.contains(&minio.keys().access_key), "the node never had the keys");
}

/// What a session of the operator's policy may do, tried at the store.
#[tokio::test]
async fn a_session_of_an_attempt_reads_its_sources_and_writes_below_its_own_prefix() {
    let minio = Minio::start().await.expect("MinIO starts");
    for bucket in ["data", "other"] {
        minio.create_bucket(bucket).await.expect("created");
        for key in ["in/a", "in/b", "module.wasm", "private", "out/1-0-2-f/made"] {
            minio.put(bucket, key, "x").await.expect("stored");
        }
    }
    let in_data = |reach: Reach| S3Use { bucket: "data".to_owned(), region: None, endpoint: None, reach };
    let publish = Reach::Publish { prefix: "out/".to_owned(), is_flat: false };
    let uses = [in_data(Reach::Object("module.wasm".to_owned())), in_data(Reach::Prefix("in/".to_owned())), in_data(publish)];
    let attempt = Attempt { namespace: "team-a", job: "job", run: 1, index: 0, number: 1 };
    let session = minio.session(&policy(uses.iter(), &attempt)).await.expect("it is opened");
    let client = minio.client_with(&session);
    let gets = async |bucket: &str, key: &str| client.get_object().bucket(bucket).key(key).send().await.is_ok();
    let puts = async |key: &str| client.put_object().bucket("data").key(key).body(ByteStream::from_static(b"y")).send().await.is_ok();
    let lists = async |prefix: &str| client.list_objects_v2().bucket("data").prefix(prefix).send().await.is_ok();
    for (bucket, key, expected) in [
        ("data", "module.wasm", true),
        ("data", "in/a", true),
        ("data", "in/b", true),
        ("data", "private", false),
        ("data", "out/1-0-2-f/made", false),
        ("other", "module.wasm", false),
    ] {
        assert_eq!(gets(bucket, key).await, expected, "get {bucket}/{key}");
    }
    for (key, expected) in [
        ("out/1-0-1-f/made", true),
        ("out/1-0-2-f/made", false),
        ("out/1-0-2-f/other", false),
        ("out/2-0-1-f/made", false),
        ("out/made", false),
        ("in/a", false),
        ("module.wasm", false),
    ] {
        assert_eq!(puts(key).await, expected, "put {key}");
    }
    for (prefix, expected) in [("in/", true), ("in/a", true), ("", false), ("out/", false)] {
        assert_eq!(lists(prefix).await, expected, "list {prefix:?}");
    }
    let deleted = client.delete_object().bucket("data").key("in/a").send().await;
    assert!(deleted.is_err(), "nothing is deleted");
}
