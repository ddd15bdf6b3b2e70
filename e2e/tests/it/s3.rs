//! Inputs from a real S3 store, and outputs into it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use crds::digest::Digest;
use crds::job::S3Publish;
use crds::reason::Reason;
use crds::source::{S3Source, Source};
use e2e::Minio;
use e2e::minio::Keys;
use runner::failure::Failure;
use runner::fetch::address::AddressPolicy;
use runner::fetch::s3::S3Access;
use runner::fetch::{FetchConfig, FetchLimits, Fetcher, Progress, Tree};
use runner::publish::manifest::Manifest;
use runner::publish::s3::{Destination, to_s3};
use runner::publish::{OutputLimits, collect, open};
use runner::store::{Blob, Store};

const BUCKET: &str = "data";
const MAX_BYTES: u64 = 64 << 20;

/// A store of bytes that are not the same everywhere, larger than two ranges and no multiple of one.
fn large() -> Vec<u8> {
    (0..(20_u32 << 20) + 12345).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn minio() -> Minio {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket(BUCKET).await.expect("created");
    minio
}

fn config(minio: &Minio, keys: Option<&Keys>, limits: FetchLimits) -> FetchConfig {
    let credentials = keys.map(|keys| {
        SharedCredentialsProvider::new(Credentials::new(&keys.access_key, &keys.secret_key, keys.session_token.clone(), None, "test"))
    });
    FetchConfig {
        limits,
        addresses: AddressPolicy { allow_private: true, ..AddressPolicy::default() },
        s3: S3Access { credentials, region: None, endpoint: Some(minio.endpoint()), ..S3Access::default() },
        ..FetchConfig::default()
    }
}

struct Setup {
    fetcher: Fetcher,
    _directory: tempfile::TempDir,
}

fn setup(minio: &Minio, keys: Option<&Keys>) -> Setup {
    setup_with(minio, keys, FetchLimits::default())
}

fn setup_with(minio: &Minio, keys: Option<&Keys>, limits: FetchLimits) -> Setup {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path(), 1 << 30).expect("a store");
    Setup { fetcher: Fetcher::new(config(minio, keys, limits), store).expect("a fetcher"), _directory: directory }
}

impl Setup {
    async fn file(&self, bucket: &str, key: &str, expected: Option<&Digest>, max_bytes: u64) -> Result<Blob, Failure> {
        let source = S3Source { bucket: bucket.to_owned(), key: Some(key.to_owned()), ..S3Source::default() };
        let fetched = self.fetcher.file(Source::S3(&source), expected, max_bytes, &Progress::default()).await?;
        assert_eq!(fetched.name.as_deref(), key.rsplit('/').next());
        Ok(fetched.blob)
    }

    async fn tree(&self, prefix: &str) -> Result<Tree, Failure> {
        let source = S3Source { bucket: BUCKET.to_owned(), prefix: Some(prefix.to_owned()), ..S3Source::default() };
        self.fetcher.tree(Source::S3(&source), "input", None, &Progress::default()).await
    }
}

fn read(blob: &Blob) -> Vec<u8> {
    fs::read(blob.path()).expect("a blob can be read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_arrive_verified_whatever_their_size() {
    let minio = minio().await;
    let setup = setup(&minio, Some(minio.keys()));
    for (key, bytes) in
        [("empty", Vec::new()), ("dir/small.wasm", b"small".to_vec()), ("a key + with %20 ü", b"odd".to_vec()), ("large", large())]
    {
        minio.put(BUCKET, key, bytes.clone()).await.expect("stored");
        let blob = setup.file(BUCKET, key, None, MAX_BYTES).await.expect(key);
        assert!(read(&blob) == bytes, "{key}");
        let digest = blob.digest();
        assert_eq!(setup.file(BUCKET, key, Some(&digest), MAX_BYTES).await.expect(key).digest(), digest, "{key}");
    }
    let other = Digest::from_bytes([7; 32]);
    for key in ["dir/small.wasm", "large"] {
        assert_eq!(setup.file(BUCKET, key, Some(&other), MAX_BYTES).await.expect_err(key).reason, Reason::DigestMismatch, "{key}");
        assert_eq!(setup.file(BUCKET, key, None, 4).await.expect_err(key).reason, Reason::FetchTooLarge, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_version_of_an_object_can_be_named() {
    let minio = minio().await;
    let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    minio.client().put_bucket_versioning().bucket(BUCKET).versioning_configuration(versioning).send().await.expect("versioned");
    let first = minio.client().put_object().bucket(BUCKET).key("x").body(b"one".to_vec().into()).send().await.expect("stored");
    minio.put(BUCKET, "x", *b"two").await.expect("stored");
    let setup = setup(&minio, Some(minio.keys()));
    for (version_id, expected) in [(first.version_id, b"one"), (None, b"two")] {
        let source = S3Source { bucket: BUCKET.to_owned(), key: Some("x".to_owned()), version_id, ..S3Source::default() };
        let fetched = setup.fetcher.file(Source::S3(&source), None, MAX_BYTES, &Progress::default()).await.expect("fetched");
        assert_eq!(read(&fetched.blob), expected);
    }
}

/// One node, one store of bytes, tasks with accesses of their own: what one fetches, another that may not read it is not given, neither
/// after it nor at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_access_may_read_another_is_not_given() {
    let minio = minio().await;
    minio.create_bucket("closed").await.expect("created");
    minio.put("closed", "in/secret", *b"secret").await.expect("stored");
    let access = |keys| config(&minio, keys, FetchLimits::default()).s3;
    let Setup { fetcher, _directory } = setup(&minio, None);
    let reader_of_others = minio.reader_of(BUCKET).await.expect("a session");
    let key = S3Source { bucket: "closed".to_owned(), key: Some("in/secret".to_owned()), ..S3Source::default() };
    let prefix = S3Source { bucket: "closed".to_owned(), prefix: Some("in/".to_owned()), ..S3Source::default() };
    let progress = Progress::default();
    let fetch = async |fetcher: Fetcher, source| fetcher.tree(Source::S3(source), "in", None, &progress).await;
    for source in [&key, &prefix] {
        for round in ["before", "after"] {
            let (owner, other, nobody) = tokio::join!(
                fetch(fetcher.with_s3(access(Some(minio.keys()))), source),
                fetch(fetcher.with_s3(access(Some(&reader_of_others))), source),
                fetch(fetcher.clone(), source),
            );
            assert_eq!(read(&owner.expect(round).files[0].blob), b"secret", "{round}");
            for refused in [other, nobody] {
                assert_eq!(refused.expect_err("it may not read this").reason, Reason::CredentialDenied, "{round}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_bucket_key_and_endpoint_and_what_to_do() {
    let minio = minio().await;
    minio.create_bucket("closed").await.expect("created");
    for bucket in [BUCKET, "closed"] {
        minio.put(bucket, "k", *b"x").await.expect("stored");
    }
    let reader = minio.reader_of(BUCKET).await.expect("a session");
    let stranger = Keys { access_key: "nobody".to_owned(), ..minio.keys().clone() };
    let forger = Keys { secret_key: "guessed".to_owned(), ..minio.keys().clone() };
    for (keys, bucket, key, expected, says) in [
        (Some(minio.keys()), BUCKET, "none", Reason::FetchNotFound, "NoSuchKey"),
        (Some(minio.keys()), "no-such-bucket", "k", Reason::FetchNotFound, "NoSuchBucket"),
        (Some(&reader), "closed", "k", Reason::CredentialDenied, "AccessDenied"),
        (Some(&stranger), BUCKET, "k", Reason::CredentialDenied, "InvalidAccessKeyId"),
        (Some(&forger), BUCKET, "k", Reason::CredentialDenied, "SignatureDoesNotMatch"),
        (None, BUCKET, "k", Reason::CredentialDenied, "AWS_ACCESS_KEY_ID"),
        (Some(minio.keys()), "Bucket", "k", Reason::InvalidSpec, "s3.bucket"),
    ] {
        let failure = setup(&minio, keys).file(bucket, key, None, MAX_BYTES).await.expect_err("must be refused");
        assert_eq!(failure.reason, expected, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        if expected != Reason::InvalidSpec {
            assert!(failure.message.contains(&format!("s3://{bucket}/{key} at {}", minio.endpoint())), "{failure}");
        }
    }
    let setup = setup(&minio, Some(minio.keys()));
    drop(minio);
    assert_eq!(setup.file(BUCKET, "k", None, MAX_BYTES).await.expect_err("nobody is there").reason, Reason::FetchFailed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_under_a_prefix_becomes_a_tree() {
    let minio = minio().await;
    for (key, bytes) in [("in/", ""), ("in/a.txt", "a"), ("in/d/", ""), ("in/d/e/b.txt", "b"), ("in/empty/", ""), ("inner", "no")] {
        minio.put(BUCKET, key, bytes).await.expect("stored");
    }
    minio.put(BUCKET, "in/large", large()).await.expect("stored");
    let setup = setup(&minio, Some(minio.keys()));
    let tree = setup.tree("in/").await.expect("fetched");
    let files: BTreeMap<_, _> = tree.files.iter().map(|file| (file.path.as_str(), read(&file.blob))).collect();
    assert_eq!(tree.directories, ["d", "d/e", "empty"]);
    assert!(files == BTreeMap::from([("a.txt", b"a".to_vec()), ("d/e/b.txt", b"b".to_vec()), ("large", large())]));
    assert_eq!(setup.tree("none/").await.expect_err("nothing is there").reason, Reason::FetchNotFound);
    for limits in
        [FetchLimits { input_entries: 3, ..FetchLimits::default() }, FetchLimits { input_bytes: 1 << 20, ..FetchLimits::default() }]
    {
        let small = setup_with(&minio, Some(minio.keys()), limits);
        assert_eq!(small.tree("in/").await.expect_err("too large").reason, Reason::FetchTooLarge);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_objects_than_a_page_holds_are_all_there() {
    let minio = minio().await;
    let client = minio.client();
    for number in 0..1_100 {
        client
            .put_object()
            .bucket(BUCKET)
            .key(format!("many/{number:04}"))
            .body(format!("{number}").into_bytes().into())
            .send()
            .await
            .expect("stored");
    }
    let setup = setup(&minio, Some(minio.keys()));
    let tree = setup.tree("many/").await.expect("fetched");
    let expected: Vec<_> = (0..1_100).map(|number| (format!("{number:04}"), number.to_string().into_bytes())).collect();
    let got: Vec<_> = tree.files.iter().map(|file| (file.path.clone(), read(&file.blob))).collect();
    assert!(got == expected);
}

async fn publish(minio: &Minio, keys: &Keys, output: &Path, fence: &str) -> Result<(String, Manifest), Failure> {
    let publish = S3Publish { bucket: BUCKET.to_owned(), prefix: Some("{namespace}/{job}/".to_owned()), ..S3Publish::default() };
    let destination =
        Destination { publish: &publish, namespace: "team-a", job: "carve", run: 1, index: 0, attempt: 1, fence, output: None };
    let config = config(minio, Some(keys), FetchLimits { idle_timeout: Duration::from_mins(1), ..FetchLimits::default() });
    let manifest = collect(open(output)?, OutputLimits { bytes: 1 << 30, entries: 1000 }).await?;
    Ok((to_s3(&config, &destination, open(output)?, &manifest).await?, manifest))
}

async fn unfinished_uploads(minio: &Minio) -> usize {
    let listed = minio.client().list_multipart_uploads().bucket(BUCKET).prefix("team-a/carve/1-0-1-ab/large").send().await.expect("listed");
    listed.uploads().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_is_published_whole_with_its_manifest() {
    let minio = minio().await;
    let output = tempfile::tempdir().expect("a directory");
    fs::create_dir(output.path().join("d")).expect("created");
    for (path, bytes) in [("a.txt", b"a".to_vec()), ("d/ü + %.txt ", b"odd".to_vec()), ("empty", Vec::new()), ("large", large())] {
        fs::write(output.path().join(path), bytes).expect("written");
    }
    let (uri, manifest) = publish(&minio, minio.keys(), output.path(), "ab").await.expect("published");
    assert_eq!(uri, "s3://data/team-a/carve/1-0-1-ab/");
    let key = |path: &str| format!("team-a/carve/1-0-1-ab/{path}");
    assert_eq!(minio.list(BUCKET).await.expect("listed"), ["a.txt", "d/ü + %.txt ", "empty", "large", "manifest.json"].map(key));
    assert_eq!(minio.get(BUCKET, &key("manifest.json")).await.expect("read"), manifest.to_json());
    assert!(minio.get(BUCKET, &key("large")).await.expect("read") == large());
    assert_eq!(unfinished_uploads(&minio).await, 0);

    // The same again is the same; something else under the same name replaces nothing.
    publish(&minio, minio.keys(), output.path(), "ab").await.expect("published again");
    fs::write(output.path().join("a.txt"), "b").expect("written");
    let failure = publish(&minio, minio.keys(), output.path(), "ab").await.expect_err("another manifest is there");
    assert_eq!(failure.reason, Reason::PublishFailed);
    assert_eq!(minio.get(BUCKET, &key("manifest.json")).await.expect("read"), manifest.to_json());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_cannot_be_published_leaves_no_manifest() {
    let minio = minio().await;
    let output = tempfile::tempdir().expect("a directory");
    fs::write(output.path().join("a.txt"), "a").expect("written");
    let reader = minio.reader_of(BUCKET).await.expect("a session");
    let failure = publish(&minio, &reader, output.path(), "ab").await.expect_err("it may only read");
    assert_eq!(failure.reason, Reason::CredentialDenied);
    assert!(failure.message.contains("s3:PutObject"), "{failure}");
    assert_eq!(minio.list(BUCKET).await.expect("listed"), Vec::<String>::new());

    // Parts may be put, their completion too, but the manifest may not.
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::data/*"]},
        {"Effect":"Deny","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::data/*/manifest.json"]}]}"#;
    fs::write(output.path().join("large"), large()).expect("written");
    let writer = minio.session(policy).await.expect("a session");
    assert_eq!(publish(&minio, &writer, output.path(), "ab").await.expect_err("no manifest").reason, Reason::CredentialDenied);
    let keys = minio.list(BUCKET).await.expect("listed");
    assert!(!keys.iter().any(|key| key.ends_with("manifest.json")), "{keys:?}");
    assert_eq!(unfinished_uploads(&minio).await, 0);

    fs::write(output.path().join("manifest.json"), "{}").expect("written");
    let failure = publish(&minio, minio.keys(), output.path(), "cd").await.expect_err("its name is taken");
    assert_eq!(failure.reason, Reason::OutputUnsafe);
}
