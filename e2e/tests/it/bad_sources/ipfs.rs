//! IPFS gateways and nodes that do not have the data, or lie about it.

use e2e::kubo::Layout;
use e2e::{Answer, Kubo, Server};

use super::{document, idle, refused};
use crate::place::{Place, example, nobody};

/// Nobody here has what it names.
const ELSEWHERE: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
const HTML: &str = "<!DOCTYPE html><html><title>Gateway</title></html>";

/// A module of several blocks in a node that has it, and a gateway that answers as it is told.
struct Ipfs {
    kubo: Kubo,
    server: Server,
    cid: String,
}

impl Ipfs {
    fn start() -> Self {
        let kubo = Kubo::start().expect("kubo starts");
        let server = Server::start().expect("it starts");
        let layout = Layout { cid_v1: true, chunk: Some(4096), ..Layout::default() };
        let cid = kubo.add(example("echo/echo.wasm").as_ref(), &layout).expect("added");
        Self { kubo, server, cid }
    }

    /// What the lying gateway sends for the module.
    fn answers(&self, answer: Answer) -> String {
        self.server.answer(&format!("/ipfs/{}", self.cid), answer);
        self.server.url("")
    }
}

#[test]
fn what_a_gateway_does_wrong_is_its_reason_and_the_next_one_is_asked() {
    let ipfs = Ipfs::start();
    let car = ipfs.kubo.car(&ipfs.cid).expect("exported");
    let other = ipfs.kubo.car(&ipfs.kubo.add_bytes(b"something else", &Layout::default()).expect("added")).expect("exported");
    let mut damaged = car.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    let rows = [
        ("a damaged block", Answer::bytes(damaged), "CidMismatch", "sent"),
        ("other blocks", Answer::bytes(other), "CidMismatch", "sent"),
        ("no CAR", Answer::bytes("these are no blocks"), "CidMismatch", "sent"),
        ("a web page", Answer::bytes(HTML).header("Content-Type", "text/html; charset=utf-8"), "CidMismatch", "web page"),
        ("half a block", Answer::bytes(&car[..car.len() - 10]), "CarIncomplete", "could not be fetched"),
        ("half of all", Answer::declaring(car.len() as u64, &car[..car.len() / 2]), "CarIncomplete", "could not be fetched"),
        ("an error", Answer::status(500), "FetchFailed", "500"),
        ("nothing", Answer::status(404), "FetchNotFound", "404"),
        ("no HTTP", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), "FetchFailed", "could not be fetched"),
        ("a redirect to a file", Answer::redirect(302, "file:///etc/passwd"), "FetchDenied", "only http and https"),
        ("a redirect without end", Answer::redirect(302, &format!("/ipfs/{}", ipfs.cid)), "FetchFailed", "redirect"),
    ];
    for (what, answer, reason, says) in rows {
        let bad = ipfs.answers(answer);
        let gateway = bad.trim_end_matches('/');
        refused(
            &Place::new(),
            &["run", &ipfs.cid, "--ipfs-gateway", &bad],
            reason,
            &["spec.module", &ipfs.cid, gateway, "--ipfs-gateway", says],
        );
        let good = ["run", &ipfs.cid, "--ipfs-gateway", &bad, "--ipfs-gateway", ipfs.kubo.gateway(), "hello"];
        let ran = Place::new().run(&good);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "hello\n", ""), "{what}");
    }
}

#[test]
fn an_input_is_refused_as_a_module_is() {
    let ipfs = Ipfs::start();
    let place = Place::new();
    place.write("idle.wasm", idle());
    let bad = ipfs.answers(Answer::bytes("these are no blocks"));
    let flags = ["--ipfs-gateway", &bad];
    let says = ["spec.inputs[", &ipfs.cid, bad.trim_end_matches('/')];
    refused(&place, &[&["run", "idle.wasm", "-i", &ipfs.cid][..], &flags].concat(), "CidMismatch", &says);
    let below = format!("{}/no/such/file", kubo_folder(&ipfs.kubo));
    let flags = ["--ipfs-gateway", ipfs.kubo.gateway()];
    refused(&place, &[&["run", "idle.wasm", "-i", &below][..], &flags].concat(), "FetchNotFound", &["spec.inputs[file]", "no/such/file"]);
    refused(&place, &[&["run", &kubo_folder(&ipfs.kubo)][..], &flags].concat(), "InvalidSpec", &["spec.module", "directory", "path"]);
}

fn kubo_folder(kubo: &Kubo) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.txt"), "a").expect("written");
    kubo.add(folder.path(), &Layout::default()).expect("added")
}

#[test]
fn a_cid_that_nobody_has_is_not_found() {
    let kubo = Kubo::start().expect("kubo starts");
    let says = [ELSEWHERE, "--ipfs-gateway"];
    for flags in [&["--ipfs-gateway", kubo.gateway()][..], &["--ipfs-gateway", kubo.gateway(), "--ipfs-api", kubo.rpc()]] {
        let ran = refused(&Place::new(), &[&["run", ELSEWHERE], flags].concat(), "FetchNotFound", &says);
        assert!(flags.iter().filter(|flag| flag.starts_with("http")).all(|url| ran.stderr.contains(url)), "{ran:?}");
    }
}

#[test]
fn gateways_that_are_all_down_are_all_named() {
    let [one, two, api] = [nobody(), nobody(), nobody()];
    let words = ["run", ELSEWHERE, "--ipfs-gateway", &one, "--ipfs-gateway", &two, "--ipfs-api", &api];
    refused(&Place::new(), &words, "FetchFailed", &[ELSEWHERE, &one, &two, &api, "cannot be reached", "try again"]);
}

#[test]
fn a_text_that_is_no_cid_is_refused_before_anybody_is_asked() {
    let server = Server::start().expect("it starts");
    let mut place = Place::new();
    place.set("IPFS_GATEWAY", &server.url(""));
    place.write("idle.wasm", idle());
    let short = &ELSEWHERE[..40];
    for words in [&["run", &format!("ipfs://{short}")][..], &["run", "idle.wasm", "-i", &format!("ipfs://{short}:/in")]] {
        let ran = place.run(words);
        assert!(ran.code == Some(2) && ran.stderr.contains(short) && ran.stderr.contains("is no CID"), "{ran:?}");
    }
    refused(&place, &["run", short], "FetchNotFound", &[short, "no URL and no CID"]);

    let dag_cbor = "bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4tucqmqqme5yje";
    for (cid, reason, says) in [
        ("not a CID", "InvalidSpec", "cid"),
        ("/ipfs/QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJRQ", "InvalidSpec", "cid"),
        ("QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJR0", "CidInvalid", "QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJR0"),
        (dag_cbor, "CidInvalid", dag_cbor),
    ] {
        place.write("job.yaml", document(&format!("{{ipfs: {{cid: '{cid}'}}}}"), "inline: YQ=="));
        refused(&place, &["run", "job.yaml"], reason, &["spec.module", says]);
    }
    assert_eq!(server.requests(), []);
}
