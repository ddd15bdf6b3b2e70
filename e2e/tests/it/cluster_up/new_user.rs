//! What docs/cluster.md tells a new user to do, from `up` to `down`: the seam carver with module and picture from URL, S3 and IPFS, its
//! pictures in S3, and as `wasmjob run` makes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use e2e::Server;
use serde_json::Value;

use super::{Place, Up};
use crate::place::{example, examples, files};

const MODULE: &str = "seam-carver/seam-carver.wasm";
const PICTURE: &str = "images/image0.JPG";
const PROGRESS: &str = "Removing seam 0\nRemoving seam 100\nRemoving seam 200\n";

/// A client from nothing but what `up` printed.
fn s3(up: &Up) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new(up.told("S3 region").to_owned()))
        .endpoint_url(up.told("S3 endpoint"))
        .credentials_provider(Credentials::new(up.told("S3 access key"), up.told("S3 secret key"), None, None, "up"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

async fn put(s3: &Client, key: &str, path: &str) {
    let bytes = fs::read(example(path)).expect("read");
    s3.put_object().bucket("data").key(key).body(bytes.into()).send().await.expect("stored");
}

/// `ipfs add`, over the RPC that `up` printed: the CID of the file, or of the folder around it.
async fn add(up: &Up, path: &str, in_folder: bool) -> String {
    let name = path.rsplit('/').next().expect("a name").to_owned();
    let part = reqwest::multipart::Part::bytes(fs::read(example(path)).expect("read")).file_name(name);
    let form = reqwest::multipart::Form::new().part("file", part);
    let url = format!("{}/api/v0/add?wrap-with-directory={in_folder}", up.told("IPFS RPC"));
    let answer = crate::http().post(url).multipart(form).send().await.expect("answered").error_for_status().expect("added");
    let text = answer.text().await.expect("text");
    let last: Value = serde_json::from_str(text.lines().last().expect("a line for each")).expect("JSON");
    last["Hash"].as_str().expect("a CID").to_owned()
}

/// The job's file as the user has it: with the addresses of this cluster.
fn manifest(place: &Place, up: &Up, server: &Server, path: &str) -> String {
    let text = fs::read_to_string(examples().join("../manifests").join(path)).expect("read");
    let text = text.replace("http://127.0.0.1:8080", server.url("").trim_end_matches('/'));
    let file = place.cache.path().join("job.yaml");
    fs::write(&file, text.replace("http://127.0.0.1:9000", up.told("S3 endpoint"))).expect("written");
    file.to_str().expect("text").to_owned()
}

/// The published pictures below that URI, by their names.
async fn pictures(s3: &Client, uri: &str) -> BTreeMap<String, Vec<u8>> {
    let prefix = uri.strip_prefix("s3://results/").expect("in the bucket");
    let listed = s3.list_objects_v2().bucket("results").prefix(prefix).send().await.expect("listed");
    let mut found = BTreeMap::new();
    for key in listed.contents.into_iter().flatten().filter_map(|object| object.key) {
        let name = key.strip_prefix(prefix).expect("below it").to_owned();
        let object = s3.get_object().bucket("results").key(&key).send().await.expect("read");
        found.insert(name, object.body.collect().await.expect("read").to_vec());
    }
    assert!(found.contains_key("manifest.json"), "{:?}", found.keys());
    // What is published beside an output's files is another test's.
    found.retain(|name, _| Path::new(name).extension().is_some_and(|extension| extension == "png"));
    found
}

/// The pictures that the same program makes on this machine.
fn carved_here() -> BTreeMap<String, Vec<u8>> {
    let place = crate::place::Place::new();
    let ran = place.run(&["run", &example(MODULE), "-i", &example(PICTURE)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), PROGRESS), "{ran:?}");
    files(&place.path().join("seam-carver-outputs"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_carves_a_picture_from_every_store() {
    let place = Place::new();
    let up = place.up(&["--agents", "2", "--with-stores"]);
    let server = Server::start().expect("it starts");
    server.folder("/", &examples());
    let s3 = s3(&up);
    put(&s3, "seam-carver.wasm", MODULE).await;
    put(&s3, "image0.JPG", PICTURE).await;
    let cids = [add(&up, MODULE, false).await, add(&up, PICTURE, true).await];
    let from_ipfs = fs::read_to_string(examples().join("../manifests/stores/seam-carver-from-ipfs.yaml")).expect("read");
    assert!(cids.iter().all(|cid| from_ipfs.contains(&format!("{{cid: {cid}}}"))), "the sample has other CIDs than {cids:?}");

    let jobs = ["seam-carver-from-url", "seam-carver-from-s3", "seam-carver-from-ipfs"];
    for (name, path) in
        [("seam-carver", "samples/seam-carver.yaml".to_owned())].into_iter().chain(jobs.map(|name| (name, format!("stores/{name}.yaml"))))
    {
        let file = manifest(&place, &up, &server, &path);
        assert_eq!(up.asked(&["apply", "-f", &file]), format!("wasmjob.wasmjob.dev/{name} created\n"));
    }
    // However they end, so that one that fails is not waited for.
    up.asked(&["wait", "--for=condition=Finished", "wj", "--all", "--timeout=300s"]);
    let complete = up.kubectl(&["wait", "--for=condition=Complete", "wj", "--all", "--timeout=10s"]);
    assert!(complete.status.success(), "{}", up.asked(&["get", "wj", "-o", "yaml"]));

    let table = up.asked(&["get", "wj", "--no-headers"]);
    assert_eq!(table.lines().filter(|line| line.contains(" Completed ")).count(), 4, "{table}");
    let wanted = carved_here();
    assert_eq!(wanted.len(), 5);
    for name in jobs {
        let text = up.asked(&["get", "wj", name, "-o", "json"]);
        let job: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(job["status"]["output"]["stdoutTail"], PROGRESS, "{text}");
        let result = &job["status"]["results"][0];
        let uri = result["uri"].as_str().expect("a URI");
        assert!(result["files"] == 5 && uri.starts_with(&format!("s3://results/{name}/")), "{text}");
        assert!(up.asked(&["get", "wj", name, "-o", "yaml"]).contains(&format!("uri: {uri}\n")));
        assert!(pictures(&s3, uri).await == wanted, "{name}: other pictures than here");
    }
    place.goes_down(&up);
}
