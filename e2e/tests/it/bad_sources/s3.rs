//! S3 stores, as this machine's variables and profiles lead to them.

use e2e::Minio;
use e2e::minio::Keys;

use super::{document, idle, refused};
use crate::place::{Place, example, files, nobody};

async fn minio() -> Minio {
    let minio = Minio::start().await.expect("MinIO starts");
    for bucket in ["data", "closed"] {
        minio.create_bucket(bucket).await.expect("created");
        minio.put(bucket, "idle.wasm", idle()).await.expect("stored");
    }
    minio
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_are_not_there_are_named() {
    let minio = minio().await;
    let place = Place::new().with_s3(&minio, Some(minio.keys()));
    place.write("idle.wasm", idle());
    let at = format!(" at {}", minio.endpoint());
    for (location, code) in [("s3://data/none.wasm", "NoSuchKey"), ("s3://nowhere/idle.wasm", "NoSuchBucket")] {
        let says = [location, at.as_str(), "check bucket, key, region and endpoint", code];
        refused(&place, &["run", location], "FetchNotFound", &[&says[..], &["spec.module"]].concat());
        refused(&place, &["run", "idle.wasm", "-i", location], "FetchNotFound", &[&says[..], &["spec.inputs["]].concat());
    }
    refused(&place, &["run", "idle.wasm", "-i", "s3://data/none/"], "FetchNotFound", &["spec.inputs[none]", "s3://data/none/", &at]);
    refused(&place, &["run", "idle.wasm", "-i", "s3://nowhere/"], "FetchNotFound", &["spec.inputs[", "s3://nowhere/", "NoSuchBucket"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_read_is_told_what_is_missing() {
    let minio = minio().await;
    let reader = minio.reader_of("data").await.expect("a session");
    let stranger = Keys { access_key: "nobody".to_owned(), ..minio.keys().clone() };
    let forger = Keys { secret_key: "guessed".to_owned(), ..minio.keys().clone() };
    let expired = Keys { session_token: Some("old".to_owned()), ..reader.clone() };
    let rows: [(Option<&Keys>, &str, &[&str]); 5] = [
        (Some(&reader), "s3://closed/idle.wasm", &["AccessDenied", "s3:GetObject", "AWS_ACCESS_KEY_ID"]),
        (Some(&stranger), "s3://data/idle.wasm", &["InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"]),
        (Some(&forger), "s3://data/idle.wasm", &["SignatureDoesNotMatch", "AWS_ACCESS_KEY_ID"]),
        (Some(&expired), "s3://data/idle.wasm", &["AWS_ACCESS_KEY_ID"]),
        (None, "s3://data/idle.wasm", &["not signed", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]),
    ];
    for (keys, location, says) in rows {
        let place = Place::new().with_s3(&minio, keys);
        place.write("idle.wasm", idle());
        let at = format!("{location} at {}", minio.endpoint());
        for words in [&["run", location][..], &["run", "idle.wasm", "-i", location]] {
            let ran = refused(&place, words, "CredentialDenied", &[says, &[at.as_str()]].concat());
            let secrets = keys.into_iter().flat_map(|keys| [Some(&keys.secret_key), keys.session_token.as_ref()]).flatten();
            assert!(secrets.filter(|secret| secret.len() > 8).all(|secret| !ran.stderr.contains(secret.as_str())), "{ran:?}");
        }
    }
    let place = Place::new().with_s3(&minio, Some(&reader));
    let says = ["spec.inputs[", "AccessDenied", "s3:ListBucket", "AWS_ACCESS_KEY_ID", "s3://closed/"];
    refused(place.write("idle.wasm", idle()), &["run", "idle.wasm", "-i", "s3://closed/"], "CredentialDenied", &says);
    // The same session reads what it may.
    let ran = Place::new().with_s3(&minio, Some(&reader)).run(&["run", "s3://data/idle.wasm"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_store_that_is_not_there_and_a_profile_that_is_not_there_are_named() {
    let endpoint = nobody();
    let mut place = Place::new();
    place.set("AWS_ENDPOINT_URL_S3", &endpoint).set("AWS_ACCESS_KEY_ID", "key").set("AWS_SECRET_ACCESS_KEY", "secret");
    refused(&place, &["run", "s3://data/idle.wasm"], "FetchFailed", &["s3://data/idle.wasm", &endpoint, "tried 3 times"]);
    refused(&place, &["run", "s3://data/idle.wasm", "--s3-endpoint", &nobody()], "FetchFailed", &["s3://data/idle.wasm"]);
    refused(&place, &["run", "s3://data/idle.wasm", "--profile", "ours"], "CredentialDenied", &["ours", "profile"]);
    refused(&place, &["run", "s3://Data_1/idle.wasm"], "InvalidSpec", &["spec.module.s3.bucket"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_published_is_kept_here() {
    let minio = minio().await;
    let reader = minio.reader_of("data").await.expect("a session");
    let module = std::fs::read(example("component/component.wasm")).expect("read");
    minio.put("data", "component.wasm", module).await.expect("stored");
    for (keys, bucket, reason, says) in
        [(&reader, "data", "CredentialDenied", "s3:PutObject"), (minio.keys(), "nowhere", "PublishFailed", "NoSuchBucket")]
    {
        let place = Place::new().with_s3(&minio, Some(keys));
        let yaml = document("{s3: {bucket: data, key: component.wasm}}", "mountPath: /inputs, inline: YQ==");
        let outputs = format!(
            "  args: [copy, /inputs/data, /outputs/copy]\n  outputs:\n  - name: outputs\n    publish:\n    - s3: {{bucket: {bucket}}}\n"
        );
        let ran = place.write("job.yaml", yaml + &outputs).run(&["run", "job.yaml", "--status-file", "s.json"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(125), "copied 1 bytes from /inputs/data to /outputs/copy\n"), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("wasmjob: {reason}: ")) && ran.stderr.contains(says), "{ran:?}");
        assert!(ran.stderr.contains(&format!("s3://{bucket}/1-0-1-")) && ran.stderr.contains(&minio.endpoint()), "{ran:?}");
        let status = place.status();
        assert_eq!((&status["conditions"][0]["reason"], &status["output"]["exitCode"]), (&reason.into(), &0.into()), "{status}");
        let kept = files(&place.path().join("bad-outputs"));
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [("copy".to_owned(), b"a".to_vec())], "its work is not lost");
        assert_eq!(minio.list("data").await.expect("listed"), ["component.wasm", "idle.wasm"]);
    }
}
