//! Results on the cluster: S3 and IPFS from the node, ConfigMaps by the operator, and what nobody else has on the node.

use std::collections::BTreeMap;
use std::fs;

use e2e::cluster::Fate;
use e2e::{Kubo, Minio, Server};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::stage::{Stage, attempts};
use crate::place::examples;
use crate::results::Guest;

const BUCKET: &str = "results";

fn spec(guest: &Guest<'_>, outputs: Value) -> Value {
    json!({ "module": { "inline": guest.base64() }, "outputs": outputs })
}

fn map_of(name: &str) -> Value {
    json!([{ "name": "outputs", "publish": [{ "configMap": { "name": name } }] }])
}

/// The keys of a ConfigMap and their values.
fn values(map: &ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    text.chain(map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()))).collect()
}

/// A stage whose agents publish to these.
async fn with_stores(name: &str, minio: &Minio, kubo: &Kubo) -> Stage<'static> {
    minio.create_bucket(BUCKET).await.expect("created");
    let mut stage = Stage::new(name).await;
    let (file, keys) = (stage.path("s3.yaml"), minio.keys());
    let grant = json!([{
        "name": "ours", "namespaces": [stage.namespace], "endpoint": minio.endpoint(), "region": e2e::minio::REGION,
        "accessKeyId": keys.access_key, "secretAccessKey": keys.secret_key,
    }]);
    fs::write(&file, grant.to_string()).expect("written");
    stage.agent_flags = ["--s3-credentials", file.to_str().expect("text"), "--ipfs-api", kubo.rpc()].map(str::to_owned).to_vec();
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_of_results_is_applied_and_publishes() {
    let (minio, kubo) = (Minio::start().await.expect("MinIO starts"), Kubo::start().expect("kubo starts"));
    let server = Server::start().expect("it starts");
    server.folder("/", &examples());
    let stage = with_stores("samples-of-results", &minio, &kubo).await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    for sample in fs::read_dir(examples().join("../manifests/results")).expect("a folder") {
        let text = fs::read_to_string(sample.expect("an entry").path()).expect("read");
        let text =
            text.replace("http://127.0.0.1:8080", server.url("").trim_end_matches('/')).replace("http://127.0.0.1:9000", &minio.endpoint());
        let file = stage.path("sample.yaml");
        fs::write(&file, text).expect("written");
        let applied = stage.kubectl(&["apply", "-f", file.to_str().expect("text")]);
        assert_eq!((applied.code, applied.stderr.as_str()), (0, ""), "no warning");
    }
    let (reason, status) = stage.ended("config-map").await;
    assert_eq!(reason, "Completed", "{status:?}");
    let printed = stage.kubectl(&["get", "configmap", "config-map-1", "-o", "jsonpath={.data.stdout}"]);
    assert_eq!(printed.stdout, "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n");
    let (reason, status) = stage.ended("several-places").await;
    assert_eq!(reason, "Completed", "{status:?}");
    assert_eq!((status.results.len(), status.results[0].more_uris.len()), (1, 2), "{status:?}");
    assert!(minio.list(BUCKET).await.expect("listed").contains(&"latest/several-places/copies/outputs.tar.gz".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_place_is_in_the_status_and_what_is_published_nowhere_is_on_its_node() {
    let (minio, kubo) = (Minio::start().await.expect("MinIO starts"), Kubo::start().expect("kubo starts"));
    let stage = with_stores("results", &minio, &kubo).await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let s3 = json!({ "s3": { "bucket": BUCKET, "endpoint": minio.endpoint(), "prefix": "{namespace}/{job}/" } });
    let guest =
        Guest { stdout: "hello", files: &[(0, "a", b"a", 1), (1, "b", b"b", 1), (2, "c", b"c", 1)], exit_code: 3, ..Guest::default() };
    let outputs = json!([
        { "name": "everywhere", "publish": [s3, { "ipfs": {} }, { "configMap": { "name": "{job}-{run}" } }] },
        { "name": "mapped", "publish": [{ "configMap": { "name": "mapped" } }] },
        { "name": "kept", "mountPath": "/kept", "sizeLimit": "1Mi" },
    ]);
    stage.create("fails", spec(&guest, outputs)).await;
    let (reason, status) = stage.ended("fails").await;
    assert_eq!(reason, "GuestExit", "published on failure too, and failed all the same: {status:?}");
    let [everywhere, mapped, kept] = &status.results[..] else { panic!("{status:?}") };
    let prefix = format!("s3://{BUCKET}/{}/fails/1-0-1-", stage.namespace);
    assert!(everywhere.uri.as_deref().is_some_and(|uri| uri.starts_with(&prefix) && uri.ends_with("/everywhere/")), "{status:?}");
    let [ipfs, map] = &everywhere.more_uris[..] else { panic!("{status:?}") };
    assert_eq!(*map, format!("configmap://{}/fails-1", stage.namespace));
    assert_eq!(mapped.uri.as_deref(), Some(format!("configmap://{}/mapped", stage.namespace).as_str()));
    assert_eq!((kept.uri.as_deref(), kept.kept_on.as_deref()), (None, Some(format!("{}-n1", stage.pool).as_str())));
    assert!(everywhere.kept_on.is_none() && mapped.kept_on.is_none());
    let cid = ipfs.trim_start_matches("ipfs://").trim_end_matches('/');
    assert_eq!(kubo.cat(&format!("{cid}/stdout")).expect("it is there"), b"hello");
    let key = everywhere.uri.as_deref().and_then(|uri| uri.strip_prefix(&format!("s3://{BUCKET}/"))).expect("in the bucket");
    assert_eq!(minio.get(BUCKET, &format!("{key}exitCode")).await.expect("read"), b"3");
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let found = values(&maps.get("mapped").await.expect("it is there"));
    let expected = [("b", "b"), ("exitCode", "3"), ("stderr", ""), ("stdout", "hello")];
    assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into());
    let uid = stage.jobs().get("fails").await.expect("it is there").uid().expect("a UID");
    let on_node = crate::place::files(&stage.path(&format!("{}-n1", stage.pool)).join("outputs").join(uid));
    assert!(on_node.iter().any(|(path, bytes)| path.ends_with("/kept/c") && bytes == b"c"), "{:?}", on_node.keys());
    stage.settles().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_is_the_jobs_own_and_one_that_is_there_is_never_changed() {
    let stage = Stage::new("maps").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let words = "many words ".repeat(1000);
    let bytes = [0_u8, 159, 146, 150];
    let guest = Guest { stdout: &words, files: &[(0, "text", b"hello", 1), (0, "bytes", &bytes, 1)], ..Guest::default() };
    stage.create("makes", spec(&guest, map_of("{job}-{run}-{index}"))).await;
    let (reason, status) = stage.ended("makes").await;
    assert_eq!(reason, "Completed", "{status:?}");
    let made = maps.get("makes-1-0").await.expect("it is there");
    let job = stage.jobs().get("makes").await.expect("it is there");
    let owner = &made.owner_references()[0];
    assert_eq!((owner.kind.as_str(), Some(owner.uid.clone()), owner.controller), ("WasmJob", job.uid(), Some(true)));
    let found = values(&made);
    assert_eq!((found["text"].as_slice(), found["bytes"].as_slice(), found["exitCode"].as_slice()), (&b"hello"[..], &bytes[..], &b"0"[..]));
    assert_eq!(found["stdout"], words.as_bytes()[words.len() - 4096..]);
    assert_eq!((made.data.expect("text").len(), made.binary_data.expect("bytes").len(), made.immutable), (4, 1, Some(true)));

    let theirs = json!({ "metadata": { "name": "taken" }, "data": { "text": "theirs" } });
    let theirs = maps.create(&PostParams::default(), &serde_json::from_value(theirs).expect("a ConfigMap")).await.expect("created");
    let small = Guest { files: &[(0, "text", b"ours", 1)], ..Guest::default() };
    let large = Guest { files: &[(0, "text", &[b'x'; 1000], 20)], ..Guest::default() };
    let folder = Guest { files: &[(0, "d/text", b"x", 1)], ..Guest::default() };
    let failing = Guest { exit_code: 3, ..small.clone() };
    let twice = json!([
        { "name": "one", "publish": [{ "configMap": { "name": "twice" } }] },
        { "name": "two", "publish": [{ "configMap": { "name": "twice" } }] },
    ]);
    let rows = [
        ("takes", &small, map_of("taken"), "PublishFailed", "is there already"),
        ("fails", &failing, map_of("taken"), "GuestExit", "is there already"),
        ("large", &large, map_of("large"), "OutputTooLarge", "16384"),
        ("folder", &folder, map_of("folder"), "OutputUnsafe", "\"d/text\" is no key of a ConfigMap"),
        ("twice", &small, twice, "PublishFailed", "\"twice\" is there already"),
    ];
    for (name, guest, outputs, ..) in &rows {
        stage.create(name, spec(guest, outputs.clone())).await;
    }
    for (name, _, _, wanted, says) in rows {
        let (reason, status) = stage.ended(name).await;
        assert_eq!(reason, wanted, "{name}: {status:?}");
        assert!(status.conditions[0].message.contains(says), "{name}: {status:?}");
        assert_eq!(attempts(&status).len(), 1, "{name}: nothing is tried again for it: {status:?}");
        assert!(status.results.iter().all(|result| result.uri.is_none()), "{name}: {status:?}");
    }
    let after = maps.get("taken").await.expect("it is there");
    assert_eq!((after.resource_version(), after.data), (theirs.resource_version(), theirs.data));
    assert!(maps.get_opt("large").await.expect("asked").is_none());

    // It goes with its job.
    stage.jobs().delete("makes", &DeleteParams::default()).await.expect("deleted");
    stage.until("the ConfigMap goes", async || maps.get_opt("makes-1-0").await.expect("asked").is_none().then_some(())).await;
    stage.settles().await;
}

/// An operator that dies before it knows that the ConfigMap was made, and a network that sends things twice: it is the same result.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_whose_making_was_not_answered_is_the_result_all_the_same() {
    let stage = Stage::new("maps-again").await;
    let _agent = stage.agent("n1").await;
    let identity = stage.operator_identity("a").await;
    let behind = async |name: &str, fate: Fate| {
        let relay = stage.cluster.relay().await.expect("a relay");
        let held = relay.rule(move |asked| if asked.what() == "POST configmaps" { fate } else { Fate::Pass });
        let identity = stage.cluster.through(&identity, name, &relay.server()).expect("a kubeconfig");
        (stage.operator_as(&identity), relay, held)
    };
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let (former, _relay, mut held) = behind("former", Fate::HoldAfter).await;
    let guest = Guest { stdout: "hello", ..Guest::default() };
    stage.create("again", spec(&guest, map_of("{job}"))).await;
    let unanswered = held.recv().await.expect("the relay is there");
    drop(former);
    drop(unanswered);
    let made = maps.get("again").await.expect("it was made");
    assert!(!stage.status("again").await.is_finished(), "nobody has told of it yet");
    let (_next, _other_relay, _) = behind("next", Fate::Twice).await;
    let (reason, status) = stage.ended("again").await;
    assert_eq!((reason.as_str(), attempts(&status).len()), ("Completed", 1), "{status:?}");
    assert_eq!(status.results[0].uri, Some(format!("configmap://{}/again", stage.namespace)));
    assert_eq!(maps.get("again").await.expect("it is there").uid(), made.uid());
    stage.create("twice", spec(&guest, map_of("{job}"))).await;
    let (reason, status) = stage.ended("twice").await;
    assert_eq!((reason.as_str(), attempts(&status).len()), ("Completed", 1), "{status:?}");
    stage.settles().await;
}
