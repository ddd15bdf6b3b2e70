//! The control plane of the tests is a real one: it takes our kinds, keeps what it was told over outages, forgets what a restored
//! backup did not know, counts requests, and ends with the test.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::Cluster;
use e2e::cluster::{Answered, Options};
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

/// A guard against hangs.
const PATIENCE: Duration = Duration::from_mins(3);

fn is_running(id: u32) -> bool {
    Path::new("/proc").join(id.to_string()).exists()
}

fn said(stdout: &str) -> Answered {
    Answered { code: 0, stdout: stdout.to_owned(), stderr: String::new() }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn config_map(cluster: &Cluster, name: &str) -> String {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await.expect("a client"), "default");
    let map = serde_json::from_value(json!({ "metadata": { "name": name } })).expect("a ConfigMap");
    let made = maps.create(&PostParams::default(), &map).await.expect("created");
    made.metadata.resource_version.expect("every object has one")
}

async fn config_maps(cluster: &Cluster) -> Vec<String> {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await.expect("a client"), "default");
    let listed = maps.list(&ListParams::default()).await.expect("listed");
    listed.items.into_iter().filter_map(|map| map.metadata.name).filter(|name| name != "kube-root-ca.crt").collect()
}

#[tokio::test]
async fn a_cluster_of_its_own_lives_through_outages_and_restores_and_ends_with_the_test() {
    let mut cluster = Cluster::start(Options { scheduler: true, ..Options::default() }).await.expect("it starts");
    assert_eq!(cluster.kubectl(&["get", "--raw", "/readyz"]).expect("kubectl runs"), said("ok"));
    let version = cluster.kubectl(&["version"]).expect("kubectl runs").stdout;
    assert!(version.contains("Client Version: v1.36.3") && version.contains("Server Version: v1.36.3"), "{version}");

    config_map(&cluster, "before").await;
    let snapshot = cluster.snapshot().await.expect("copied");
    let later = config_map(&cluster, "later").await;
    assert_eq!(config_maps(&cluster).await, ["before", "later"]);

    let server = cluster.server();
    cluster.stop_api_server();
    let refused = cluster.kubectl(&["get", "--raw", "/readyz"]).expect("kubectl runs");
    assert!(refused.code != 0 && refused.stderr.contains("connection"), "{refused:?}");
    cluster.start_api_server().await.expect("it starts again");
    assert_eq!(cluster.server(), server);
    assert_eq!(config_maps(&cluster).await, ["before", "later"]);

    cluster.restore(&snapshot).await.expect("put back");
    assert_eq!(config_maps(&cluster).await, ["before"]);
    let again = config_map(&cluster, "again").await;
    let number = |version: &str| version.parse::<u64>().expect("etcd's are numbers");
    assert!(number(&again) <= number(&later) + 50, "resource versions went back too: {again}, {later}");

    let running = cluster.processes();
    assert_eq!(running.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["etcd", "kube-apiserver", "kube-scheduler"]);
    assert!(running.iter().all(|(_, id)| is_running(*id)));
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(running.iter().all(|(_, id)| !is_running(*id)));
    assert!(!folder.exists());
}

#[tokio::test]
async fn our_kinds_are_taken_without_a_warning_and_served() {
    let cluster = Cluster::shared().await.expect("it starts");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let definitions = std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed").path());
    let definitions: Vec<_> = definitions.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(definitions.len() >= 2, "{definitions:?}");
    for definition in definitions {
        let path = definition.to_str().expect("text");
        // As users do it, and as pipelines do it.
        for mode in ["--server-side=true", "--server-side=false"] {
            let answered =
                cluster.kubectl(&["create", "-f", path, "--dry-run=server", "--validate=strict", "-o", "name"]).expect("kubectl runs");
            assert!(answered.stderr.contains("already exists") && !answered.stderr.contains("Warning"), "{answered:?}");
            let answered = cluster.kubectl(&["apply", mode, "--dry-run=server", "--validate=strict", "-f", path]).expect("kubectl runs");
            let warnings = answered.stderr.lines().filter(|line| !line.contains("last-applied-configuration")).count();
            assert!(answered.code == 0 && warnings == 0, "{answered:?}");
        }
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "-f", path];
        assert_eq!(cluster.kubectl(&wait).expect("kubectl runs").code, 0);
    }
    for kind in ["wasmjobs", "wasmnodes", "wj", "wjn"] {
        assert_eq!(cluster.kubectl(&["get", kind, "-n", "nothing-here", "-o", "name"]).expect("kubectl runs"), said(""), "{kind}");
    }
}

#[tokio::test]
async fn the_api_servers_own_counts_tell_what_was_asked() {
    let cluster = Cluster::shared().await.expect("it starts");
    cluster.create_namespace("counted").await.expect("created");
    let job = "apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {name: one, namespace: counted}\nspec: {suspend: true, module: {http: {url: \"http://localhost/a.wasm\"}}}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("job.yaml");
    std::fs::write(&file, job).expect("written");
    // Of a kind that no other test touches, so that the count is exact.
    let ranges: Api<LimitRange> = Api::namespaced(cluster.client().await.expect("a client"), "counted");
    let before = cluster.requests().await.expect("counted");
    for name in ["one", "two", "three"] {
        let range = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": { "limits": [] } })).expect("a LimitRange");
        ranges.create(&PostParams::default(), &range).await.expect("created");
    }
    cluster.apply_file(&file).expect("applied");
    let after = cluster.requests().await.expect("counted").since(&before);
    assert_eq!(after.count(|kind| kind.resource == "limitranges" && kind.verb == "POST" && kind.code == 201), 3, "{after:?}");
    assert!(after.writes() >= 1, "{after:?}");
}

#[tokio::test]
async fn a_token_dies_with_the_pod_that_it_is_bound_to() {
    let cluster = Cluster::shared().await.expect("it starts");
    cluster.create_namespace("short-lived").await.expect("created");
    cluster.create_service_account("short-lived", "visitor").await.expect("created");
    cluster.node("short-lived-node").await.expect("created");
    let pod = cluster.pod_on("short-lived", "visitor", "short-lived-node").await.expect("created");
    let token = cluster.token("short-lived", "visitor", Some(&pod)).await.expect("granted");
    let visitor = cluster.client_for(&token).await.expect("a client");
    visitor.apiserver_version().await.expect("everybody may ask");
    let code = async || {
        let maps: Api<ConfigMap> = Api::namespaced(visitor.clone(), "short-lived");
        match maps.list(&ListParams::default()).await {
            Err(kube::Error::Api(status)) => status.code,
            other => panic!("a visitor was not refused: {other:?}"),
        }
    };
    assert_eq!(code().await, 403, "who it is is known, and that it may not");
    let pods: Api<Pod> = Api::namespaced(cluster.client().await.expect("a client"), "short-lived");
    pods.delete(&pod.name, &DeleteParams::default()).await.expect("deleted");
    until("the token outlives its pod", async || code().await == 401).await;
}

#[tokio::test]
async fn a_deleted_namespace_is_emptied() {
    let cluster = Cluster::shared().await.expect("it starts");
    cluster.create_namespace("short").await.expect("created");
    cluster.create_service_account("short", "visitor").await.expect("created");
    cluster.node("short-node").await.expect("created");
    cluster.pod_on("short", "visitor", "short-node").await.expect("created");
    let namespaces: Api<Namespace> = Api::all(cluster.client().await.expect("a client"));
    namespaces.delete("short", &DeleteParams::default()).await.expect("accepted");
    until("the namespace stays", async || namespaces.get_opt("short").await.expect("asked").is_none()).await;
}
