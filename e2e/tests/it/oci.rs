//! Modules and inputs from a real OCI registry, and from ones that lie.

mod lies;

use std::fs;

use crds::reason::Reason;
use crds::source::{OciSource, Source};
use e2e::registry::{Layer, MANIFEST};
use e2e::{Answer, Registry, Server};
use runner::failure::Failure;
use runner::fetch::address::AddressPolicy;
use runner::fetch::{FetchConfig, FetchLimits, Fetched, Fetcher, Progress, Tree};
use runner::store::{Blob, Store};
use serde_json::json;

use crate::place::{Place, example};

const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A registry with what the samples take from one, as their comments say to push it.
pub(crate) async fn registry_of_samples() -> Registry {
    let registry = Registry::start().expect("it starts");
    let file = |path: &str, media_type: &str| Layer {
        media_type: media_type.to_owned(),
        bytes: fs::read(example(path)).expect("read"),
        title: path.rsplit('/').next().map(str::to_owned),
    };
    registry.push("samples/cat", "1", &[file("cat/cat.wasm", "application/wasm")]).await.expect("pushed");
    registry.push("samples/flowers", "1", &[file("pca-svg/flowers.csv", "text/csv")]).await.expect("pushed");
    registry
}

struct Setup {
    fetcher: Fetcher,
    _directory: tempfile::TempDir,
}

impl Setup {
    /// Reaches everything.
    fn new() -> Self {
        Self::with(AddressPolicy { allow_private: true, ..AddressPolicy::default() }, FetchLimits::default())
    }

    fn with(addresses: AddressPolicy, limits: FetchLimits) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path(), 1 << 30).expect("a store");
        let config = FetchConfig { addresses, limits, ..FetchConfig::default() };
        Self { fetcher: Fetcher::new(config, store).expect("a fetcher"), _directory: directory }
    }

    async fn module(&self, image: &str, digest: Option<&str>) -> Result<Fetched, Failure> {
        let source = OciSource { image: image.to_owned() };
        let digest = digest.map(|digest| digest.parse().expect("a digest"));
        self.fetcher.file(Source::Oci(&source), digest.as_ref(), 1 << 20, &Progress::default()).await
    }

    async fn input(&self, image: &str, digest: Option<&str>) -> Result<Tree, Failure> {
        let source = OciSource { image: image.to_owned() };
        let digest = digest.map(|digest| digest.parse().expect("a digest"));
        self.fetcher.tree(Source::Oci(&source), "data", digest.as_ref(), &Progress::default()).await
    }
}

fn read(blob: &Blob) -> Vec<u8> {
    fs::read(blob.path()).expect("a blob can be read")
}

fn idle() -> Vec<u8> {
    wat::parse_str(r#"(module (func (export "_start")))"#).expect("a module")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_runs_from_its_tag_and_from_its_digest() {
    let registry = Registry::start().expect("it starts");
    let echo = fs::read(example("echo/echo.wasm")).expect("read");
    let digest = registry.push("team/echo", "1.2", &[Layer::wasm(echo.clone())]).await.expect("pushed");
    let old = Layer { media_type: "application/vnd.wasm.content.layer.v1+wasm".to_owned(), bytes: echo, title: None };
    registry.push("team/echo", "latest", &[old]).await.expect("pushed");
    let place = Place::new();
    for reference in [":1.2", "", &format!("@{digest}"), &format!(":gone@{digest}")] {
        let ran = place.run(&["run", &format!("oci://{}", registry.image("team/echo", reference)), "hello", "world"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "hello world\n", ""), "{reference}");
    }
    // What a digest names is here by now, and nobody is asked for it.
    let image = registry.image("team/echo", &format!("@{digest}"));
    drop(registry);
    let ran = place.run(&["run", &format!("oci://{image}"), "again"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "again\n", ""));
    let ran = place.run(&["run", &format!("oci://{}", image.replace(&format!("@{digest}"), ":1.2"))]);
    assert!(ran.code == Some(125) && ran.stderr.contains("FetchFailed: spec.module") && ran.stderr.contains("cannot connect"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_layers_of_an_artifact_are_an_inputs_files() {
    let registry = Registry::start().expect("it starts");
    let layers = [Layer::file("b.txt", "b\n"), Layer::file("d/a.txt", "a\n"), Layer::file("empty", "")];
    registry.push("data/texts", "1", &layers).await.expect("pushed");
    let place = Place::new();
    let input = format!("oci://{}:/texts", registry.image("data/texts", ":1"));
    let ran = place.run(&["run", &example("cat/cat.wasm"), "-i", &input, "/texts/d/a.txt", "/texts/b.txt"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "a\nb\n", ""));

    let setup = Setup::new();
    let tree = setup.input(&registry.image("data/texts", ":1"), None).await.expect("fetched");
    assert_eq!(tree.directories, ["d"]);
    assert_eq!(tree.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["b.txt", "d/a.txt", "empty"]);
    // A single file needs no name, and may have a digest.
    let blob = crds::digest::Digest::of(b"only").to_string();
    registry.push("data/one", "1", &[Layer { title: None, ..Layer::file("", "only") }]).await.expect("pushed");
    let tree = setup.input(&registry.image("data/one", ":1"), Some(&blob)).await.expect("fetched");
    assert_eq!((tree.files[0].path.as_str(), read(&tree.files[0].blob)), ("data", b"only".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_leads_to_its_image_for_wasm() {
    let registry = Registry::start().expect("it starts");
    let wasm = registry.push("app", "wasm", &[Layer::wasm(idle())]).await.expect("pushed");
    let amd64 = registry.push("app", "amd64", &[Layer::file("app", "ELF")]).await.expect("pushed");
    let index = registry.push_index("app", "all", &[(&amd64, "amd64"), (&wasm, "wasm")]).await.expect("pushed");
    let setup = Setup::new();
    for reference in [":all", &format!("@{index}")] {
        let module = setup.module(&registry.image("app", reference), None).await.expect(reference);
        assert!(read(&module.blob) == idle(), "{reference}");
    }
    registry.push_index("app", "two", &[(&wasm, "wasm"), (&wasm, "wasm")]).await.expect("pushed");
    let failure = setup.module(&registry.image("app", ":two"), None).await.expect_err("which one?");
    assert_eq!(failure.reason, Reason::ModuleInvalid);
    assert!(failure.message.contains("an index of 2 images"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_as_named_is_refused_with_its_reason() {
    let registry = Registry::start().expect("it starts");
    let (one, text) = (Layer::wasm(idle()), Layer::file("a", "text"));
    registry.push("app", "one", std::slice::from_ref(&one)).await.expect("pushed");
    registry.push("app", "two", &[one.clone(), one.clone()]).await.expect("pushed");
    registry.push("app", "none", std::slice::from_ref(&text)).await.expect("pushed");
    registry.push("app", "large", &[Layer::wasm(vec![0; 2 << 20])]).await.expect("pushed");
    registry.push("app", "elf", &[Layer::wasm(*b"\x7fELF")]).await.expect("pushed");
    let setup = Setup::new();
    let module_rows = [
        (":gone", None, Reason::FetchNotFound, "check the name and the tag"),
        (&format!("@{NO_DIGEST}")[..], None, Reason::FetchNotFound, "404"),
        (":one", Some(NO_DIGEST), Reason::DigestMismatch, NO_DIGEST),
        (":two", None, Reason::ModuleInvalid, "2 of its layers are WebAssembly modules"),
        (":none", None, Reason::ModuleInvalid, "none of its 1 layers is a WebAssembly module"),
        (":large", None, Reason::FetchTooLarge, "1048576 bytes"),
        (":A B", None, Reason::InvalidSpec, "ghcr.io/team/prog:1.2"),
        (&format!("@sha512:{}", "0".repeat(128)), None, Reason::InvalidSpec, "sha256"),
    ];
    for (reference, digest, reason, says) in module_rows {
        let failure = setup.module(&registry.image("app", reference), digest).await.expect_err(reference);
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
    }
    let failure = setup.module(&registry.image("nobody/nothing", ":1"), None).await.expect_err("there is none");
    assert_eq!(failure.reason, Reason::FetchNotFound, "{failure}");

    registry.push("data", "untitled", &[text.clone(), one]).await.expect("pushed");
    registry.push("data", "twice", &[text.clone(), text.clone()]).await.expect("pushed");
    registry.push("data", "under", &[text.clone(), Layer::file("a/b", "text")]).await.expect("pushed");
    for (tag, title) in [("up", "../a"), ("root", "/a"), ("dot", "a/./b"), ("windows", "a\\b"), ("nul", "a\0"), ("empty", "")] {
        registry.push("data", tag, &[Layer::file(title, "text")]).await.expect("pushed");
    }
    registry.push("data", "none", &[]).await.expect("pushed");
    let input_rows = [
        (":untitled", None, Reason::InvalidSpec, "has no title"),
        (":twice", None, Reason::InvalidSpec, "is there twice"),
        (":under", None, Reason::InvalidSpec, "both a file and a directory"),
        (":up", None, Reason::InvalidSpec, ". or .."),
        (":root", None, Reason::InvalidSpec, "begins or ends with a slash"),
        (":dot", None, Reason::InvalidSpec, ". or .."),
        (":windows", None, Reason::InvalidSpec, "backslash"),
        (":nul", None, Reason::InvalidSpec, "control character"),
        (":empty", None, Reason::InvalidSpec, "it is empty"),
        (":none", None, Reason::InvalidSpec, "it has no files"),
        (":under", Some(NO_DIGEST), Reason::InvalidSpec, "not one file"),
        (":up", Some(NO_DIGEST), Reason::InvalidSpec, ". or .."),
    ];
    for (reference, digest, reason, says) in input_rows {
        let failure = setup.input(&registry.image("data", reference), digest).await.expect_err(reference);
        assert_eq!(failure.reason, reason, "{reference}: {failure}");
        assert!(failure.message.contains(says), "{reference}: {failure}");
    }
    let small = Setup::with(
        AddressPolicy { allow_private: true, ..AddressPolicy::default() },
        FetchLimits { input_entries: 1, input_bytes: 5, ..FetchLimits::default() },
    );
    registry.push("data", "two", &[text.clone(), Layer::file("b", "")]).await.expect("pushed");
    registry.push("data", "six", &[Layer::file("b", "123456")]).await.expect("pushed");
    for tag in [":two", ":six"] {
        assert_eq!(small.input(&registry.image("data", tag), None).await.expect_err(tag).reason, Reason::FetchTooLarge, "{tag}");
    }
    // An ELF file is what was asked for, as far as fetching goes: the runner says what it is.
    let ran = Place::new().run(&["run", &format!("oci://{}", registry.image("app", ":elf"))]);
    assert!(ran.code == Some(125) && ran.stderr.contains("ModuleInvalid"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_fetched_where_the_registry_says() {
    let tokens = Server::start().expect("it starts");
    let realm = tokens.answer("/token", Answer::bytes(r#"{"token": "t0ken"}"#));
    let registry = Registry::start_with_tokens(&realm).expect("it starts");
    registry.push("team/app", "1", &[Layer::wasm(idle()), Layer::file("a", "a"), Layer::file("b", "b")]).await.expect("pushed");
    let image = registry.image("team/app", ":1");
    let setup = Setup::new();
    assert!(read(&setup.module(&image, None).await.expect("fetched").blob) == idle());
    let asked: Vec<_> = tokens.requests().iter().map(|request| request.target.clone()).collect();
    assert_eq!(asked, ["/token?service=e2e&scope=repository%3Ateam%2Fapp%3Apull"], "once, for manifest and layer");
    assert!(tokens.requests().iter().all(|request| request.header("authorization").is_none()));

    let rows: [(Answer, Reason, &str); 6] = [
        (Answer::status(403), Reason::FetchDenied, "cannot be read without credentials"),
        (Answer::status(404), Reason::FetchNotFound, "404"),
        (Answer::bytes("{}"), Reason::FetchFailed, "gave no token"),
        (Answer::bytes("<html>"), Reason::FetchFailed, "gave no token"),
        (Answer::endless(), Reason::FetchTooLarge, "token server"),
        (Answer::redirect(302, "file:///etc/passwd"), Reason::FetchDenied, "only http and https"),
    ];
    for (answer, reason, says) in rows {
        tokens.answer("/token", answer);
        let failure = Setup::new().module(&image, None).await.expect_err(says);
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
        assert!(!failure.message.contains("t0ken"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bytes_than_the_digests_name_are_refused() {
    let registry = Registry::start().expect("it starts");
    let manifest = registry.push("app", "1", &[Layer::wasm(idle())]).await.expect("pushed");
    let layer = crds::digest::Digest::of(&idle()).to_string();
    // As long as before: nothing but the digest can tell.
    let mut other = idle();
    *other.last_mut().expect("it has bytes") ^= 1;
    registry.tamper(&layer, &other).expect("replaced");
    let failure = Setup::new().module(&registry.image("app", ":1"), None).await.expect_err("not these bytes");
    assert_eq!(failure.reason, Reason::DigestMismatch);
    assert!(failure.message.contains("the registry gave other bytes"), "{failure}");

    let empty = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": { "mediaType": "application/json", "digest": NO_DIGEST, "size": 2 } });
    registry.tamper(&manifest, empty.to_string().as_bytes()).expect("replaced");
    let failure = Setup::new().module(&registry.image("app", &format!("@{manifest}")), None).await.expect_err("not these bytes");
    assert!(matches!(failure.reason, Reason::DigestMismatch | Reason::FetchFailed), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_may_not_be_reached_is_not() {
    let registry = Registry::start().expect("it starts");
    registry.push("app", "1", &[Layer::wasm(idle())]).await.expect("pushed");
    let port: u16 = registry.host().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let loopback = "127.0.0.0/8".parse().expect("a network");
    let rows = [
        (AddressPolicy::default(), false),
        (AddressPolicy { allowed_ports: vec![port], ..AddressPolicy::default() }, false),
        (AddressPolicy { allowed: vec![loopback], ..AddressPolicy::default() }, false),
        (AddressPolicy { allowed: vec![loopback], allowed_ports: vec![port], ..AddressPolicy::default() }, true),
    ];
    for (addresses, is_reached) in rows {
        let fetched = Setup::with(addresses.clone(), FetchLimits::default()).module(&registry.image("app", ":1"), None).await;
        assert_eq!(
            fetched.map(drop).map_err(|failure| failure.reason),
            if is_reached { Ok(()) } else { Err(Reason::FetchDenied) },
            "{addresses:?}"
        );
    }
    for image in ["localhost:5000/app", "registry.default.svc/app", "registry/app", "169.254.169.254/app", "10.0.0.1:443/app"] {
        let failure = Setup::with(AddressPolicy::default(), FetchLimits::default()).module(image, None).await.expect_err(image);
        let expected = if image == "registry/app" { Reason::FetchFailed } else { Reason::FetchDenied };
        assert!(failure.reason == expected || failure.reason == Reason::FetchDenied, "{image}: {failure}");
    }
}
