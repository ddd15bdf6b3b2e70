//! Inputs on the cluster: a module by its digest in a registry, an archive in a ConfigMap, and what may be absent.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::stage::{Stage, reason};
use crate::oci::registry_of_samples;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_is_unpacked_and_absent_inputs_are_named_in_the_status() {
    let registry = registry_of_samples().await;
    let stage = Stage::new("inputs").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.txt"), "from the archive\n").expect("written");
    let archive = stage.path("a.tar");
    let made = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(folder.path()).arg("a.txt").status().expect("tar starts");
    assert!(made.success());
    let file = format!("--from-file=a.tar={}", archive.display());
    assert_eq!(stage.kubectl(&["create", "configmap", "archive", &file]).code, 0);

    let cat = json!({ "oci": { "image": registry.image("samples/cat", ":1") } });
    let inputs = |key: &str| {
        json!([
            { "name": "packed", "configMap": { "name": "archive", "key": key }, "unpack": "Tar" },
            { "name": "map", "configMap": { "name": "nobody" }, "optional": true },
            { "name": "image", "oci": { "image": registry.image("nothing", ":1") }, "optional": true },
        ])
    };
    let job = |key: &str| json!({ "module": cat, "args": ["/inputs/a.txt"], "inputs": inputs(key), "outputs": [] });
    stage.create("unpacks", job("a.tar")).await;
    stage.create("lacks", job("b.tar")).await;
    let (_, status) = stage.ended("unpacks").await;
    assert_eq!(reason(&status), "Completed", "{status:?}");
    assert_eq!(status.output.as_ref().expect("a guest ran").stdout_tail, "from the archive\n");
    assert_eq!(status.absent_inputs, ["map", "image"]);
    let (_, status) = stage.ended("lacks").await;
    assert_eq!(reason(&status), "FetchNotFound", "{status:?}");
    stage.settles().await;
}
