//! The `s3` publisher against MinIO.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crds::digest::Digest;
use e2e::Minio;
use serde_json::{Value, json};

use super::{Guest, nameless, run, shown};
use crate::place::{Place, files};

const BUCKET: &str = "results";

async fn stage() -> (Minio, Place) {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket(BUCKET).await.expect("created");
    let place = Place::new().with_s3(&minio, Some(minio.keys()));
    (minio, place)
}

fn publish(minio: &Minio, how: Value) -> Value {
    let mut s3 = json!({ "bucket": BUCKET, "endpoint": minio.endpoint() });
    s3.as_object_mut().expect("it is one").extend(how.as_object().expect("it is one").clone());
    json!([{ "name": "outputs", "publish": [{ "s3": s3 }] }])
}

/// The objects below a prefix, by key.
async fn objects(minio: &Minio, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for key in minio.list(BUCKET).await.expect("listed").into_iter().filter(|key| key.starts_with(prefix)) {
        let bytes = minio.get(BUCKET, &key).await.expect("read");
        objects.insert(nameless(&key), bytes);
    }
    objects
}

/// The files in a tar.gz, by the system's own tar.
fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let (packed, target) = (folder.path().join("a.tar.gz"), folder.path().join("files"));
    fs::write(&packed, archive).expect("written");
    fs::create_dir(&target).expect("created");
    let tar = Command::new("tar").arg("-xzf").arg(&packed).arg("-C").arg(&target).status().expect("tar starts");
    assert!(tar.success());
    files(&target)
}

const PLAIN: [(&str, &str); 5] = [("a.txt", "a"), ("d/b.txt", "bbb"), ("exitCode", "0"), ("stderr", "oh"), ("stdout", "hello\n")];

const GUEST: Guest<'static> =
    Guest { stdout: "hello\n", stderr: "oh", files: &[(0, "a.txt", b"a", 1), (0, "d/b.txt", b"b", 3)], many: 0, exit_code: 0 };

/// What a row leaves under its prefix, manifest apart.
fn below(prefix: &str, exit_code: &str) -> BTreeMap<String, String> {
    let text = |name: &str, text: &str| if name == "exitCode" { exit_code.to_owned() } else { text.to_owned() };
    PLAIN.iter().map(|(name, content)| (format!("{prefix}{name}"), text(name, content))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_lie_where_the_spec_says_with_what_the_guest_printed_and_its_exit_code() {
    let (minio, place) = stage().await;
    let rows = [
        ("attempt", json!({ "prefix": "r/{namespace}/{job}/" }), 0, Some("r/default/attempt/A/"), false),
        ("failed", json!({ "prefix": "{job}/", "layout": "Attempt", "encoding": "Plain" }), 3, Some("failed/A/"), false),
        ("placed", json!({ "prefix": "placed/{run}.{index}.{attempt}-", "layout": "Flat" }), 0, Some("placed/1.0.1-"), false),
        ("packed", json!({ "prefix": "packed/", "encoding": "TarGz" }), 0, Some("packed/A/"), true),
        ("sad", json!({ "prefix": "sad/", "encoding": "TarGz" }), 7, Some("sad/A/"), true),
        ("flat", json!({ "prefix": "flat/", "layout": "Flat", "encoding": "TarGz" }), 0, Some("flat/"), true),
        // The last success wins: a failure replaces nothing.
        ("flat", json!({ "prefix": "flat/", "layout": "Flat", "encoding": "TarGz" }), 5, Some("flat/"), true),
        ("none", json!({ "prefix": "none/", "layout": "Flat" }), 5, None, false),
    ];
    for (name, how, exit_code, prefix, packed) in rows {
        let is_flat = how["layout"] == "Flat";
        let (ran, status) = run(&place, name, &Guest { exit_code, ..GUEST }, publish(&minio, how), &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(exit_code), "hello\n"), "{name}: {ran:?}");
        let result = &status["results"][0];
        assert_eq!((&result["files"], &result["sizeBytes"]), (&json!(2), &json!(4)), "{name}: {status}");
        let Some(prefix) = prefix else {
            assert!(result["uri"].is_null() && objects(&minio, "none/").await.is_empty(), "{name}: {status}");
            continue;
        };
        if !(is_flat && exit_code != 0) {
            assert_eq!(result["uri"].as_str().map(nameless), Some(format!("s3://{BUCKET}/{prefix}")), "{name}: {status}");
        }
        let mut objects = objects(&minio, prefix.trim_end_matches("A/")).await;
        let manifest = objects.remove(&format!("{prefix}manifest.json")).expect("a manifest");
        let listed: Value = serde_json::from_slice(&manifest).expect("JSON");
        let paths = |list: &str| listed[list].as_array().map(|files| files.iter().map(|file| file["path"].clone()).collect::<Vec<_>>());
        assert_eq!(paths("files"), Some(vec![json!("a.txt"), json!("d/b.txt")]), "{name}");
        assert_eq!(paths("beside"), Some(vec![json!("exitCode"), json!("stderr"), json!("stdout")]), "{name}");
        let as_published = if is_flat && exit_code != 0 { 0 } else { exit_code };
        if as_published == exit_code {
            assert_eq!(result["digest"], json!(Digest::of(&manifest)), "{name}: {status}");
        }
        let archive = format!("{prefix}outputs.tar.gz");
        let (objects, prefix) = if packed { (unpacked(&objects[&archive]), "") } else { (objects, prefix) };
        let shown: BTreeMap<String, String> = shown(&objects).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        assert_eq!(shown, below(prefix, &as_published.to_string()), "{name}");
    }
}

/// The same files give the same archive, whenever they were packed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_of_equal_files_are_equal() {
    let (minio, place) = stage().await;
    let mut archives = Vec::new();
    for name in ["one", "two"] {
        let how = json!({ "prefix": format!("{name}/"), "layout": "Flat", "encoding": "TarGz" });
        let (ran, _) = run(&place, name, &GUEST, publish(&minio, how), &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        archives.push(minio.get(BUCKET, &format!("{name}/outputs.tar.gz")).await.expect("read"));
    }
    assert!(archives[0] == archives[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_in_parts_and_what_only_printed_is_published_too() {
    let (minio, place) = stage().await;
    let words = "many words ".repeat(1000);
    let large: Vec<u8> = (0..8_192_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let guest = Guest { stdout: &words, files: &[(0, "large", &large, 2600)], ..Guest::default() };
    let (ran, status) = run(&place, "large", &guest, publish(&minio, json!({ "prefix": "large/" })), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let found = objects(&minio, "large/").await;
    assert!(found["large/A/large"] == large.repeat(2600) && found["large/A/stdout"] == words.as_bytes());
    assert_eq!((found["large/A/stderr"].len(), status["results"][0]["files"].clone()), (0, json!(1)));
    let unfinished = minio.client().list_multipart_uploads().bucket(BUCKET).send().await.expect("listed");
    assert_eq!(unfinished.uploads().len(), 0);

    let guest = Guest { stdout: "only this", exit_code: 4, ..Guest::default() };
    let (ran, status) = run(&place, "prints", &guest, publish(&minio, json!({ "prefix": "prints/" })), &[]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(status["results"][0]["files"], 0, "{status}");
    let found = objects(&minio, "prints/").await;
    assert_eq!(found["prints/A/stdout"], b"only this");
    assert_eq!(
        found.keys().map(|key| key.trim_start_matches("prints/A/")).collect::<Vec<_>>(),
        ["exitCode", "manifest.json", "stderr", "stdout"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_several_outputs_has_places_of_its_own() {
    let (minio, place) = stage().await;
    let s3 = |prefix: &str, layout: &str| json!({ "s3": { "bucket": BUCKET, "endpoint": minio.endpoint(), "prefix": prefix, "layout": layout } });
    let outputs = json!([
        { "name": "first", "publish": [s3("a/", "Attempt"), s3("b/", "Flat")] },
        { "name": "second", "mountPath": "/elsewhere", "sizeLimit": "1Ki", "publish": [s3("a/", "Attempt")] },
        { "name": "kept" },
    ]);
    // What is published nowhere may be called anything.
    let guest = Guest { files: &[(0, "one", b"1", 1), (1, "two", b"2", 1), (2, "stdout", b"3", 1)], ..Guest::default() };
    let (ran, status) = run(&place, "several", &guest, outputs, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let uris: Vec<_> = status["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|one| (one["name"].clone(), one["uri"].as_str().map(nameless), one["moreUris"].clone()))
        .collect();
    let expected = vec![
        (json!("first"), Some("s3://results/a/A/first/".to_owned()), json!(["s3://results/b/first/"])),
        (json!("second"), Some("s3://results/a/A/second/".to_owned()), Value::Null),
        (json!("kept"), None, Value::Null),
    ];
    assert_eq!(uris, expected, "{status}");
    let found = objects(&minio, "").await;
    let keys: Vec<_> = found.keys().filter(|key| !["exitCode", "stderr", "stdout"].iter().any(|name| key.ends_with(name))).collect();
    assert_eq!(
        keys,
        ["a/A/first/manifest.json", "a/A/first/one", "a/A/second/manifest.json", "a/A/second/two", "b/first/manifest.json", "b/first/one"]
    );
    let mut left: Vec<_> = files(&place.path().join("several-outputs")).into_keys().collect();
    left.sort();
    assert_eq!(left, ["first/one", "kept/stdout", "second/two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_published_is_refused_and_nothing_of_it_is() {
    let (minio, place) = stage().await;
    let reserved = |path: &'static str| Guest { files: Box::leak(Box::new([(0, path, &b"x"[..], 1)])), ..Guest::default() };
    for (name, guest, size_limit, reason, says) in [
        ("manifest", reserved("manifest.json"), "1Mi", "OutputUnsafe", "\"manifest.json\""),
        ("stdout", reserved("stdout"), "1Mi", "OutputUnsafe", "\"stdout\""),
        ("exit-code", reserved("exitCode/x"), "1Mi", "OutputUnsafe", "\"exitCode/x\""),
        (
            "large",
            Guest { files: &[(0, "x", b"xxxxxxxx", 100), (0, "y", b"yyyyyyyy", 100)], ..Guest::default() },
            "1Ki",
            "OutputTooLarge",
            "sizeLimit",
        ),
    ] {
        let mut outputs = publish(&minio, json!({ "prefix": format!("{name}/") }));
        outputs[0]["sizeLimit"] = json!(size_limit);
        let (ran, status) = run(&place, name, &guest, outputs, &[]);
        let finished = &status["conditions"][0];
        assert_eq!(finished["reason"], reason, "{name}: {status}");
        assert!(finished["message"].as_str().is_some_and(|message| message.contains(says)), "{name}: {status}");
        assert!(ran.code != Some(0) && ran.stderr.contains(reason), "{name}: {ran:?}");
        assert!(status["results"].is_null(), "{name}: {status}");
    }
    assert!(objects(&minio, "").await.is_empty());
}
