//! Registries that lie, break off or send their readers elsewhere. Their answers are made by hand: no real registry gives them.

use crds::digest::Digest;
use crds::reason::Reason;
use e2e::registry::{MANIFEST, WASM};
use e2e::{Answer, Server};
use runner::fetch::FetchLimits;
use runner::fetch::address::AddressPolicy;
use serde_json::{Value, json};

use super::{Setup, idle, read};

const REPOSITORY: &str = "/v2/team/app";

/// A server that answers as a registry would, for as long as nothing else is said.
struct Liar {
    server: Server,
}

impl Liar {
    fn new() -> Self {
        let liar = Self { server: Server::start().expect("it starts") };
        liar.gives_manifest(&manifest(&idle(), idle().len()));
        liar.gives_layer(Answer::bytes(idle()));
        liar
    }

    fn gives_manifest(&self, manifest: &Value) {
        self.answers("manifests/1", Answer::bytes(manifest.to_string()));
    }

    fn gives_layer(&self, answer: Answer) {
        self.answers(&format!("blobs/{}", Digest::of(&idle())), answer);
    }

    fn answers(&self, path: &str, answer: Answer) {
        self.server.answer(&format!("{REPOSITORY}/{path}"), answer);
    }

    fn image(&self) -> String {
        self.server.url("/team/app:1").replace("http://", "")
    }

    async fn is_refused(&self, reason: Reason, says: &str) {
        let failure = Setup::new().module(&self.image(), None).await.expect_err(says);
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
    }
}

fn manifest(layer: &[u8], size: usize) -> Value {
    let config = json!({ "mediaType": "application/json", "digest": Digest::of(b"{}").to_string(), "size": 2 });
    let layer = json!({ "mediaType": WASM, "digest": Digest::of(layer).to_string(), "size": size });
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_is_the_bytes_that_its_manifest_names() {
    let liar = Liar::new();
    assert!(read(&Setup::new().module(&liar.image(), None).await.expect("honest so far").blob) == idle());
    let (whole, mut other) = (idle().len(), idle());
    other[whole - 1] ^= 1;
    let rows = [
        (Answer::bytes(other.clone()), Reason::DigestMismatch, "the registry gave other bytes"),
        (Answer::chunked(other), Reason::DigestMismatch, "the registry gave other bytes"),
        (Answer::bytes(&idle()[..whole - 1]), Reason::DigestMismatch, "the registry gave other bytes"),
        (Answer::chunked([idle(), vec![0]].concat()), Reason::FetchTooLarge, "larger than"),
        (Answer::endless(), Reason::FetchTooLarge, "larger than"),
        (Answer::declaring(whole as u64, "short"), Reason::FetchFailed, "tried 3 times"),
        (Answer::status(404), Reason::FetchNotFound, "404"),
        (Answer::status(401), Reason::FetchDenied, "user and password"),
        (Answer::status(500), Reason::FetchFailed, "tried 3 times"),
        (Answer::redirect(307, "file:///etc/passwd"), Reason::FetchDenied, "only http and https"),
        (Answer::redirect(307, &format!("{REPOSITORY}/blobs/{}", Digest::of(&idle()))), Reason::FetchFailed, "more than 5 redirects"),
    ];
    for (answer, reason, says) in rows {
        liar.gives_layer(answer);
        liar.is_refused(reason, says).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_manifest_is_refused() {
    let liar = Liar::new();
    let mut both = manifest(&idle(), 3);
    both["manifests"] = json!([]);
    let nested =
        json!({ "schemaVersion": 2, "manifests": [{ "mediaType": MANIFEST, "digest": Digest::of(b"index").to_string(), "size": 5 }] });
    liar.answers(&format!("manifests/{}", Digest::of(b"index")), Answer::bytes("index"));
    let rows = [
        (Answer::bytes("<html>sign in</html>"), Reason::ModuleInvalid, "no image manifest"),
        (Answer::bytes("{}"), Reason::ModuleInvalid, "neither layers nor manifests"),
        (Answer::bytes(r#"{"schemaVersion":1,"fsLayers":[]}"#), Reason::ModuleInvalid, "neither layers nor manifests"),
        (Answer::bytes(both.to_string()), Reason::ModuleInvalid, "both layers and manifests"),
        (Answer::bytes(nested.to_string()), Reason::ModuleInvalid, "no image manifest"),
        (Answer::bytes(manifest(&idle(), 2 << 20).to_string()), Reason::FetchTooLarge, "1048576 bytes"),
        (Answer::endless(), Reason::FetchTooLarge, "larger than the 4194304 bytes"),
        (Answer::declaring(1 << 40, ""), Reason::FetchTooLarge, "larger than the 4194304 bytes"),
        (Answer::status(503), Reason::FetchFailed, "tried 3 times"),
        (Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), Reason::FetchFailed, "tried 3 times"),
    ];
    for (answer, reason, says) in rows {
        liar.answers("manifests/1", answer);
        liar.is_refused(reason, says).await;
    }
    let index = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
    let outer = json!({ "schemaVersion": 2, "manifests": [{ "mediaType": MANIFEST, "digest": Digest::of(index.as_bytes()).to_string(), "size": index.len() }] });
    liar.answers(&format!("manifests/{}", Digest::of(index.as_bytes())), Answer::bytes(index));
    liar.answers("manifests/1", Answer::bytes(outer.to_string()));
    liar.is_refused(Reason::ModuleInvalid, "an index of 0 images").await;
}

/// The token is the registry's: where a layer lies elsewhere, nobody there sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_goes_to_the_registry_alone() {
    let liar = Liar::new();
    let elsewhere = Server::start().expect("it starts");
    let layer = format!("/v2/team/app/blobs/{}", Digest::of(&idle()));
    let realm = elsewhere.answer("/token", Answer::bytes(r#"{"access_token": "t0ken"}"#));
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:team/other:push\"");
    let manifest = Answer::bytes(manifest(&idle(), idle().len()).to_string());
    liar.server.answers("/v2/team/app/manifests/1", vec![Answer::status(401).header("WWW-Authenticate", &challenge), manifest]);
    liar.gives_layer(Answer::redirect(307, &elsewhere.answer("/layer", Answer::bytes(idle()))));
    assert!(read(&Setup::new().module(&liar.image(), None).await.expect("fetched").blob) == idle());
    let authorized = |server: &Server| {
        let told = |request: &e2e::server::Request| (request.path().to_owned(), request.header("authorization").map(str::to_owned));
        server.requests().iter().map(told).collect::<Vec<_>>()
    };
    let token = Some("Bearer t0ken".to_owned());
    let manifest = "/v2/team/app/manifests/1".to_owned();
    assert_eq!(authorized(&liar.server), [(manifest.clone(), None), (manifest, token.clone()), (layer, token)]);
    assert_eq!(authorized(&elsewhere), [("/token".to_owned(), None), ("/layer".to_owned(), None)]);
    assert!(elsewhere.requests()[0].target.ends_with("scope=repository%3Ateam%2Fapp%3Apull"), "the scope is ours, not the registry's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_registry_leads_where_nobody_may_go() {
    let liar = Liar::new();
    let port = liar.server.url("").rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let only =
        AddressPolicy { allowed: vec!["127.0.0.1/32".parse().expect("a network")], allowed_ports: vec![port], ..AddressPolicy::default() };
    let setup = || Setup::with(only.clone(), FetchLimits::default());
    setup().module(&liar.image(), None).await.expect("this server may be asked");
    for target in [format!("http://127.0.0.2:{port}/"), "http://127.0.0.1:1/".to_owned(), "http://169.254.169.254/".to_owned()] {
        liar.gives_layer(Answer::redirect(307, &target));
        let failure = setup().module(&liar.image(), None).await.expect_err(&target);
        assert_eq!(failure.reason, Reason::FetchDenied, "{failure}");
        liar.gives_layer(Answer::status(401).header("WWW-Authenticate", &format!("Bearer realm=\"{target}\"")));
        let failure = setup().module(&liar.image(), None).await.expect_err(&target);
        assert_eq!(failure.reason, Reason::FetchDenied, "{failure}");
    }
}
