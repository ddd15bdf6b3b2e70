//! The seam carver on the cluster, module and picture from URL, S3 and IPFS, results in S3; and every sample, applied by kubectl.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use e2e::{Kubo, Minio, Server};
use serde_json::{Value, json};

use super::stage::{Stage, attempts, reason};
use crate::oci::registry_of_samples;
use crate::place::{example, examples};

const MODULE: &str = "seam-carver/seam-carver.wasm";
const PICTURE: &str = "images/image0.JPG";
const BUCKET: &str = "data";

async fn minio() -> Minio {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket(BUCKET).await.expect("created");
    minio.put(BUCKET, "modules/seam.wasm", fs::read(example(MODULE)).expect("read")).await.expect("stored");
    minio.put(BUCKET, "pictures/image0.JPG", fs::read(example(PICTURE)).expect("read")).await.expect("stored");
    minio
}

/// The administrator's file with the credentials of the jobs' namespace.
fn credentials(minio: &Minio, namespace: &str) -> String {
    let keys = minio.keys();
    json!([{
        "name": "ours", "namespaces": [namespace], "endpoint": minio.endpoint(), "region": e2e::minio::REGION,
        "accessKeyId": keys.access_key, "secretAccessKey": keys.secret_key,
    }])
    .to_string()
}

/// The published files of a job, manifest apart.
async fn published(minio: &Minio, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for key in minio.list(BUCKET).await.expect("listed") {
        if let Some((_, name)) = key.strip_prefix(prefix).and_then(|rest| rest.rsplit_once('/'))
            && Path::new(name).extension().is_some_and(|extension| extension == "png")
        {
            files.insert(name.to_owned(), minio.get(BUCKET, &key).await.expect("read"));
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seam_carver_gives_the_same_pictures_from_every_store() {
    let server = Server::start().expect("it starts");
    server.folder("/", &examples());
    let (minio, kubo) = (minio().await, Kubo::start().expect("kubo starts"));
    let layout = e2e::kubo::Layout::default();
    let (module, picture) =
        (kubo.add(example(MODULE).as_ref(), &layout).expect("added"), kubo.add(example(PICTURE).as_ref(), &layout).expect("added"));

    let mut stage = Stage::new("stores").await;
    let file = stage.path("s3.yaml");
    fs::write(&file, credentials(&minio, &stage.namespace)).expect("written");
    stage.agent_flags = ["--s3-credentials", file.to_str().expect("text"), "--ipfs-gateway", kubo.gateway()].map(str::to_owned).to_vec();
    let (_operator, _one, _two) = (stage.operator("a").await, stage.agent("n1").await, stage.agent("n2").await);

    let s3 = |key: &str| json!({ "bucket": BUCKET, "key": key, "endpoint": minio.endpoint() });
    let rows = [
        (
            "from-url",
            json!({ "http": { "url": server.url(&format!("/{MODULE}")) } }),
            json!({ "http": { "url": server.url(&format!("/{PICTURE}")) } }),
        ),
        ("from-s3", json!({ "s3": s3("modules/seam.wasm") }), json!({ "s3": s3("pictures/image0.JPG") })),
        ("from-ipfs", json!({ "ipfs": { "cid": module } }), json!({ "ipfs": { "cid": picture } })),
    ];
    for (name, module, mut input) in rows {
        input["name"] = json!("images");
        let publish = json!({ "s3": { "bucket": BUCKET, "prefix": format!("results/{name}/"), "endpoint": minio.endpoint() } });
        let outputs = json!([{ "name": "outputs", "publish": [publish] }]);
        let module_and_input: Value = json!({ "module": module, "args": args(name), "inputs": [input], "outputs": outputs });
        stage.create(name, module_and_input).await;
    }
    let mut pictures = Vec::new();
    for name in ["from-url", "from-s3", "from-ipfs"] {
        let waited = stage.kubectl(&["wait", "--for=condition=Complete", &format!("wj/{name}"), "--timeout=180s"]);
        let status = stage.status(name).await;
        assert_eq!(waited.code, 0, "{waited:?} {status:?}");
        let output = status.output.as_ref().expect("a guest ran");
        assert_eq!(output.stdout_tail, "Removing seam 0\nRemoving seam 100\nRemoving seam 200\n");
        let result = &status.results[0];
        assert!(result.files == 5 && result.uri.as_deref().is_some_and(|uri| uri.starts_with(&format!("s3://{BUCKET}/results/{name}/"))));
        pictures.push(published(&minio, &format!("results/{name}/")).await);
    }
    assert_eq!(pictures[0].len(), 5);
    assert!(pictures.iter().all(|others| *others == pictures[0]));
    stage.settles().await;
}

/// A CID's file has no name of its own: the input's is its name.
fn args(name: &str) -> Value {
    if name == "from-ipfs" { json!(["/inputs/images"]) } else { json!([]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_is_applied_and_runs() {
    let registry = registry_of_samples().await;
    let server = Server::start().expect("it starts");
    server.folder("/", &examples());
    let stage = Stage::new("samples").await;
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    let mut names = Vec::new();
    for sample in fs::read_dir(examples().join("../manifests/samples")).expect("a folder") {
        let sample = sample.expect("an entry").path();
        let text = fs::read_to_string(&sample).expect("read").replace("http://127.0.0.1:8080", server.url("").trim_end_matches('/'));
        let text = text.replace("127.0.0.1:5000", &registry.host());
        let file = stage.path("sample.yaml");
        fs::write(&file, text).expect("written");
        let applied = stage.kubectl(&["apply", "-f", file.to_str().expect("text")]);
        assert_eq!((applied.code, applied.stderr.as_str()), (0, ""), "{}: no warning", sample.display());
        names.push(sample.file_stem().expect("a name").to_string_lossy().into_owned());
    }
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let (_, status) = stage.ended(&name).await;
        assert_eq!((reason(&status).as_str(), attempts(&status).len()), ("Completed", 1), "{name}: {status:?}");
    }
}
