//! The example everybody tries, module and picture from every kind of place: the five pictures are the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::sync::LazyLock;

use crds::digest::Digest;
use e2e::kubo::Layout;
use e2e::{Kubo, Minio, Server};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::place::{Place, Ran, ended, example, examples, files, nobody};

const BUCKET: &str = "data";
const MODULE: &str = "seam-carver/seam-carver.wasm";
const PICTURE: &str = "images/image0.JPG";
const PNGS: [&str; 5] = ["annotated.png", "annotated_gradients.png", "gradients.png", "original.png", "shrunk.png"];
const WIDTH: u32 = 640;
/// Of the 213 seams that are a third of the width.
const PROGRESS: &str = "Removing seam 0\nRemoving seam 100\nRemoving seam 200\n";
const CID_V1: Layout =
    Layout { cid_v1: true, raw_leaves: None, chunk: None, max_file_links: None, shard_above: None, trickle: false, hash: None };

/// What the run with local files wrote; every other run is compared with it.
static PICTURES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let place = Place::new();
    carve(&place, &example(MODULE), &example(PICTURE), &[]);
    files(&place.path().join("out"))
});

fn carve(place: &Place, module: &str, picture: &str, flags: &[&str]) {
    let words = [&["run", module, "-i", picture, "--output-dir", "out"], flags].concat();
    is_carved(&place.run(&words));
}

fn is_carved(ran: &Ran) {
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), PROGRESS, ""));
}

/// Carves with these words and compares the pictures with those of the local files.
fn is_the_same(place: &Place, module: &str, picture: &str, flags: &[&str]) {
    carve(place, module, picture, flags);
    assert!(files(&place.path().join("out")) == *PICTURES, "{module} {picture}");
}

fn width(png: &[u8]) -> u32 {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    u32::from_be_bytes(png[16..20].try_into().expect("four bytes"))
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn server() -> Server {
    let server = Server::start().expect("it starts");
    server.folder("/", &examples());
    server
}

async fn minio() -> Minio {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket(BUCKET).await.expect("created");
    minio.put(BUCKET, "modules/seam.wasm", fs::read(example(MODULE)).expect("read")).await.expect("stored");
    minio.put(BUCKET, "pictures/image0.JPG", fs::read(example(PICTURE)).expect("read")).await.expect("stored");
    minio
}

#[test]
fn local_files_give_five_pictures_beside_the_caller() {
    assert_eq!(PICTURES.keys().collect::<Vec<_>>(), PNGS);
    let widths: Vec<_> = PICTURES.values().map(|png| width(png)).collect();
    assert_eq!(widths, [WIDTH, WIDTH, WIDTH, WIDTH, WIDTH - WIDTH / 3]);

    let place = Place::new();
    is_carved(&place.run(&["run", &example(MODULE), "-i", &example("images")]));
    assert_eq!(place.left(), ["seam-carver-outputs"]);
    assert!(files(&place.path().join("seam-carver-outputs")) == *PICTURES);
}

#[test]
fn progress_is_read_while_it_runs() {
    let place = Place::new();
    let words = ["run", &example(MODULE), "-i", &example(PICTURE)];
    let mut child = place.command(&words).spawn().expect("it starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("read");
    assert_eq!(line, "Removing seam 0\n");
    // More than two hundred seams are still to come.
    assert!(child.try_wait().expect("it is our child").is_none() && place.left().iter().all(|name| name != "seam-carver-outputs"));
    stdout.read_to_string(&mut line).expect("read");
    assert_eq!(line, PROGRESS);
    assert_eq!(ended(child).code, Some(0));
    assert!(files(&place.path().join("seam-carver-outputs")) == *PICTURES);
}

#[test]
fn urls_give_the_same_pictures() {
    let server = server();
    is_the_same(&Place::new(), &server.url(&format!("/{MODULE}")), &server.url(&format!("/{PICTURE}")), &[]);
    let place = Place::new();
    let older = ["run", &server.url(&format!("/{MODULE}")), "-u", &server.url(&format!("/{PICTURE}"))];
    is_carved(&place.run(&older));
    assert!(files(&place.path().join("seam-carver-outputs")) == *PICTURES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_and_prefixes_give_the_same_pictures() {
    let minio = minio().await;
    for picture in ["s3://data/pictures/image0.JPG", "s3://data/pictures/"] {
        is_the_same(&Place::new().with_s3(&minio, Some(minio.keys())), "s3://data/modules/seam.wasm", picture, &[]);
    }
    let mut with_profile = Place::new();
    with_profile.set("AWS_CONFIG_FILE", "config").set("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    with_profile.write("config", format!("[profile ours]\nregion = us-east-1\nendpoint_url = {}\n", minio.endpoint()));
    let keys = minio.keys();
    with_profile
        .write("credentials", format!("[ours]\naws_access_key_id = {}\naws_secret_access_key = {}\n", keys.access_key, keys.secret_key));
    is_the_same(&with_profile, "s3://data/modules/seam.wasm", "s3://data/pictures/:/inputs", &["--profile", "ours"]);
}

#[test]
fn cids_give_the_same_pictures_from_gateway_and_rpc() {
    let kubo = Kubo::start().expect("kubo starts");
    let module = kubo.add(example(MODULE).as_ref(), &CID_V1).expect("added");
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(example(PICTURE), folder.path().join("image0.JPG")).expect("copied");
    let folders = [CID_V1, Layout::default()].map(|layout| kubo.add(folder.path(), &layout).expect("added"));
    assert!(folders[0].starts_with("bafy") && folders[1].starts_with("Qm"), "{folders:?}");
    let gateway = ["--ipfs-gateway", kubo.gateway()];
    let rpc = ["--ipfs-api", kubo.rpc()];
    let down = nobody();
    let second = ["--ipfs-gateway", &down, "--ipfs-gateway", kubo.gateway()];
    let [v1, v0] = &folders;
    let rows: [(&str, String, &[&str]); 4] = [
        (&module, v1.clone(), &gateway),
        (&format!("ipfs://{module}"), format!("{v0}:inputs"), &rpc),
        (&format!("/ipfs/{module}"), format!("ipfs://{v0}"), &second),
        (&module, format!("{v1}/image0.JPG"), &gateway),
    ];
    for (module, picture, flags) in rows {
        is_the_same(&Place::new(), module, &picture, flags);
    }
}

/// The job of `manifests/samples`, with its module and picture at this server and its outputs in this bucket.
fn document(server: &Server, bucket: &str) -> String {
    let digest = |path: &str| sha256(&fs::read(example(path)).expect("read"));
    format!(
        r#"apiVersion: wasmjob.dev/v1alpha1
kind: WasmJob
metadata: {{name: carve, namespace: team-a}}
spec:
  module:
    http: {{url: "{}"}}
    digest: {}
  inputs:
  - name: images
    mountPath: /inputs
    http: {{url: "{}"}}
    digest: {}
  outputs:
  - name: outputs
    mountPath: /outputs
    publish:
    - s3: {{bucket: {bucket}, prefix: "{{namespace}}/{{job}}/"}}
"#,
        server.url(&format!("/{MODULE}")),
        digest(MODULE),
        server.url(&format!("/{PICTURE}")),
        digest(PICTURE),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_publishes_the_same_pictures_with_their_manifest() {
    let (minio, server) = (minio().await, server());
    minio.create_bucket("results").await.expect("created");
    let place = Place::new().with_s3(&minio, Some(minio.keys()));
    place.write("job.yaml", document(&server, "results"));
    let mut prefixes = Vec::new();
    for _ in 0..2 {
        is_carved(&place.run(&["run", "job.yaml", "--status-file", "s.json"]));
        prefixes.push(is_published(&place.status(), &minio).await);
        // The second run finds module and picture by their digests.
        assert_eq!(server.requests().len(), 2, "{:?}", server.requests());
    }
    assert_ne!(prefixes[0], prefixes[1], "each attempt has a prefix of its own");
}

/// The status names what is in the bucket. Returns the prefix.
async fn is_published(status: &Value, minio: &Minio) -> String {
    let result = &status["results"][0];
    let uri = result["uri"].as_str().expect("a URI");
    let prefix = uri.strip_prefix("s3://results/").expect("in the bucket");
    let fence = prefix.strip_prefix("team-a/carve/1-0-1-").and_then(|rest| rest.strip_suffix('/')).expect("a prefix of the attempt");
    assert!(fence.len() == 32 && fence.chars().all(|c| c.is_ascii_hexdigit()), "{fence}");

    let keys = minio.list("results").await.expect("listed");
    let found: Vec<_> = keys.iter().filter_map(|key| key.strip_prefix(prefix)).collect();
    let beside = [("exitCode", "0"), ("stderr", ""), ("stdout", PROGRESS)];
    let mut expected: Vec<_> = PNGS.into_iter().chain(beside.map(|(name, _)| name)).chain(["manifest.json"]).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);

    let manifest = minio.get("results", &format!("{prefix}manifest.json")).await.expect("read");
    assert_eq!(result["digest"], sha256(&manifest).to_string());
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let mut listed = Vec::new();
    for (path, expected) in PICTURES.iter() {
        let bytes = minio.get("results", &format!("{prefix}{path}")).await.expect("read");
        assert!(bytes == *expected, "{path}");
        listed.push(serde_json::json!({"digest": sha256(&bytes).to_string(), "path": path, "sizeBytes": bytes.len()}));
    }
    let beside = beside
        .map(|(name, text)| serde_json::json!({"digest": sha256(text.as_bytes()).to_string(), "path": name, "sizeBytes": text.len()}));
    assert_eq!(manifest, serde_json::json!({"beside": beside, "files": listed, "version": 1}));
    let size: usize = PICTURES.values().map(Vec::len).sum();
    assert_eq!((&result["name"], &result["files"], &result["sizeBytes"]), (&"outputs".into(), &5.into(), &size.into()));
    prefix.to_owned()
}

#[test]
fn a_second_run_of_pinned_sources_needs_no_server() {
    let server = server();
    let place = Place::new();
    let yaml = document(&server, "unused").split("    publish:").next().expect("a part").to_owned();
    place.write("job.yaml", yaml);
    is_carved(&place.run(&["run", "job.yaml"]));
    assert_eq!(server.requests().len(), 2);
    drop(server);
    is_carved(&place.run(&["run", "job.yaml", "--status-file", "s.json"]));
    assert!(files(&place.path().join("carve-outputs")) == *PICTURES);
    assert_eq!(place.status()["attempts"][0]["durations"]["compileMilliseconds"], 0);
}

#[test]
fn a_second_run_of_cids_needs_no_node() {
    let kubo = Kubo::start().expect("kubo starts");
    let module = kubo.add(example(MODULE).as_ref(), &CID_V1).expect("added");
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(example(PICTURE), folder.path().join("image0.JPG")).expect("copied");
    let picture = kubo.add(folder.path(), &Layout::default()).expect("added");
    let gateway = kubo.gateway().to_owned();
    let place = Place::new();
    is_the_same(&place, &module, &picture, &["--ipfs-gateway", &gateway]);
    drop(kubo);
    is_the_same(&place, &module, &picture, &["--ipfs-gateway", &gateway]);
}
