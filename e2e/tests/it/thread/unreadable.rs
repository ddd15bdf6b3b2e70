//! Objects that our programs cannot read, beside others: stored under a looser definition, as a newer or an older one may be. They are
//! named and left alone, and stop nothing.

use std::fs;

use e2e::Cluster;
use e2e::cluster::Options;
use kube::api::DeleteParams;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::guests::{ENDLESS, NOTHING, inline};
use super::stage::{Stage, attempts, signal};

/// Lets everything through that is an object at all.
fn loosen(cluster: &Cluster, kind: &str) {
    let answered = cluster.kubectl(&["get", "crd", kind, "-o", "json"]).expect("it runs");
    let mut definition: Value = serde_json::from_str(&answered.stdout).expect("JSON");
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version = definition["spec"]["versions"][0].as_object_mut().expect("a version");
    version.insert("schema".to_owned(), json!({ "openAPIV3Schema": anything }));
    // They point into what the schema no longer has.
    version.retain(|field, _| field != "selectableFields" && field != "additionalPrinterColumns");
    let file = cluster.folder().join(format!("{kind}.json"));
    fs::write(&file, definition.to_string()).expect("written");
    let replaced = cluster.kubectl(&["replace", "-f", file.to_str().expect("text")]).expect("it runs");
    assert_eq!(replaced.code, 0, "{replaced:?}");
}

/// Creates it as soon as the looser definition is in force.
async fn create(stage: &Stage<'_>, object: Value) {
    let file = stage.path("object.json");
    fs::write(&file, object.to_string()).expect("written");
    let path = file.to_str().expect("text");
    let taken = async || (stage.cluster.kubectl(&["create", "--validate=false", "-f", path]).expect("it runs").code == 0).then_some(());
    stage.until("it is taken", taken).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_cannot_be_read_are_named_and_stop_nothing() {
    let cluster = Cluster::start(Options { fsync: false, ..Options::default() }).await.expect("a cluster");
    cluster.install().await.expect("installed");
    let stage = Stage::on(&cluster, "unreadable").await;
    let first = stage.operator("a").await;
    let _agent = stage.agent("n1").await;
    stage.create("turns", json!({ "module": inline(ENDLESS) })).await;
    stage.says("turns", "Running").await;
    for kind in ["wasmjobs.wasmjob.dev", "wasmnodes.wasmjob.dev"] {
        loosen(&cluster, kind);
    }
    let object = |kind: &str, namespace: &str, name: &str, spec: Value| json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": kind, "metadata": { "name": name, "namespace": namespace }, "spec": spec });
    create(&stage, object("WasmJob", &stage.namespace, "broken", json!({ "module": 7 }))).await;
    create(&stage, object("WasmNode", &stage.pool, "broken-node", json!({ "epoch": "many", "assignments": 7 }))).await;
    let turned = stage.kubectl(&["patch", "wj/turns", "--type=merge", "-p", r#"{"spec":{"module":7}}"#]);
    assert_eq!(turned.code, 0, "{turned:?}");
    let named = async |operator: &e2e::cluster::Running, name: &str| {
        let says = |line: &str| line.contains("cannot be read") && line.contains(name);
        stage.until(&format!("{name} is named"), async || operator.said().lines().any(says).then_some(())).await;
    };
    for name in ["broken", "broken-node", "turns"] {
        named(&first, &format!("\"{name}\"")).await;
    }
    let runs = async |job: &str| {
        stage.create(job, json!({ "module": inline(NOTHING) })).await;
        let (reason, status) = stage.ended(job).await;
        assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]), "{job}");
    };
    runs("beside").await;

    // Also for one that finds them when it takes over.
    let identity = first.identity().clone();
    signal(&first, Signal::KILL);
    drop(first);
    let _second = stage.operator_as(&identity);
    runs("afterwards").await;
    // What runs and cannot be read ends when it is deleted, as everything does.
    stage.jobs().delete("turns", &DeleteParams::default()).await.map(drop).or_else(ignore_unreadable).expect("deleted");
    let node = format!("{}-n1", stage.pool);
    let released = async || stage.nodes().get(&node).await.expect("it is there").spec.assignments.is_empty().then_some(());
    stage.until("its entry is taken back", released).await;
    runs("at-last").await;
}

/// The answer to a deletion is the object, which nobody can read.
fn ignore_unreadable(error: kube::Error) -> Result<(), kube::Error> {
    if matches!(error, kube::Error::SerdeError(_)) { Ok(()) } else { Err(error) }
}
