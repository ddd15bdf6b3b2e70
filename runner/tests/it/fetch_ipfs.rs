//! Fetching CIDs from gateways that lie, stall, break off, know half of it or send people elsewhere, alone and beside an honest one.

#[path = "../../src/fetch/ipfs/fixtures.rs"]
#[allow(dead_code, reason = "shared with the unit tests, which use the rest")]
mod fixtures;

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cid::Cid;
use crds::digest::Digest;
use crds::reason::Reason;
use crds::source::{IpfsSource, Source};
use runner::failure::Failure;
use runner::fetch::ipfs::IpfsAccess;
use runner::fetch::{FetchConfig, FetchLimits, Fetcher, Progress};
use runner::store::Store;
use sha2::{Digest as _, Sha256};

use self::fixtures::{Dag, Shape, header, section};
use crate::server::{Server, ok, say, status};

const MAX_BYTES: u32 = 1 << 20;
const SHAPE: Shape = Shape { chunk: 50, width: 4, raw_leaves: true, inner_data: false };

/// What a request asks a gateway for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Car(Cid),
    Block(Cid),
}

struct Setup {
    directory: tempfile::TempDir,
    fetcher: Fetcher,
}

fn setup(gateways: &[&Server]) -> Setup {
    setup_with(&gateways.iter().map(|server| server.url("")).collect::<Vec<_>>(), |_| {})
}

fn setup_with(gateways: &[String], change: impl FnOnce(&mut FetchLimits)) -> Setup {
    let mut limits = FetchLimits { idle_timeout: Duration::from_mins(1), ..FetchLimits::default() };
    change(&mut limits);
    let ipfs = IpfsAccess { gateways: gateways.iter().map(|url| url.parse().expect("a URL")).collect(), rpc: Vec::new() };
    let directory = tempfile::tempdir().expect("a folder");
    let store = Store::open(directory.path(), 1 << 30).expect("a store");
    let fetcher = Fetcher::new(FetchConfig { limits, ipfs, ..FetchConfig::default() }, store).expect("a fetcher");
    Setup { directory, fetcher }
}

impl Setup {
    async fn fetch(&self, root: Cid) -> Result<Vec<u8>, Failure> {
        self.fetch_as(root, None).await
    }

    async fn fetch_as(&self, root: Cid, expected: Option<&Digest>) -> Result<Vec<u8>, Failure> {
        let source = IpfsSource { cid: root.to_string(), path: None };
        let progress = Progress::default();
        let fetch = self.fetcher.file(Source::Ipfs(&source), expected, MAX_BYTES.into(), &progress);
        let fetched = tokio::time::timeout(Duration::from_mins(4), fetch).await.expect("a fetch must end")?;
        let bytes = std::fs::read(fetched.blob.path()).expect("a kept file");
        let counted = (progress.fetched_bytes.load(Ordering::Relaxed), progress.total_bytes.load(Ordering::Relaxed));
        assert_eq!(counted, (bytes.len() as u64, bytes.len() as u64));
        Ok(bytes)
    }

    fn kept(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("blobs")).expect("a store").count()
    }
}

/// A gateway that answers each question as `answer` does.
fn gateway(answer: impl Fn(usize, Asked, &mut TcpStream) + Send + Sync + 'static) -> Server {
    Server::new(move |number, head, stream| answer(number, asked(head), stream))
}

fn asked(head: &str) -> Asked {
    let path = head.strip_prefix("GET /ipfs/").and_then(|rest| rest.split(' ').next()).expect("a question for a CID");
    let accept = head.lines().find_map(|line| line.strip_prefix("accept: ")).expect("what is accepted is said");
    let (cid, query) = path.split_once('?').expect("a format is asked for");
    let cid = cid.parse().expect("a CID");
    if query == "format=car&dag-scope=all" {
        assert!(accept.starts_with("application/vnd.ipld.car; version=1"), "{accept}");
        return Asked::Car(cid);
    }
    assert_eq!((query, accept), ("format=raw", "application/vnd.ipld.raw"));
    Asked::Block(cid)
}

/// A gateway that has all of `dag`.
fn honest(dag: &Dag) -> Server {
    let dag = dag.clone();
    gateway(move |_, asked, stream| say(stream, &answer(&dag, asked)))
}

fn answer(dag: &Dag, asked: Asked) -> Vec<u8> {
    match asked {
        Asked::Car(root) if dag.blocks.contains_key(&root) => {
            ok("Content-Type: application/vnd.ipld.car; version=1\r\n", &dag.whole_car(root))
        }
        Asked::Block(cid) if dag.blocks.contains_key(&cid) => ok("Content-Type: application/vnd.ipld.raw\r\n", &dag.blocks[&cid]),
        Asked::Car(_) | Asked::Block(_) => status("404 Not Found", ""),
    }
}

/// A file of three levels.
fn example() -> (Dag, Cid, Vec<u8>) {
    let bytes: Vec<u8> = (0..40_u8).flat_map(|n| [n; 20]).collect();
    let mut dag = Dag::default();
    let root = dag.file(&bytes, SHAPE);
    (dag, root, bytes)
}

/// A port where nobody listens.
fn dead() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[tokio::test]
async fn a_file_takes_one_question_and_the_next_time_none() {
    let (dag, root, bytes) = example();
    let server = honest(&dag);
    let setup = setup(&[&server]);
    assert_eq!(setup.fetch(root).await, Ok(bytes.clone()));
    assert_eq!((server.requests(), setup.kept()), (1, 1));
    assert_eq!(setup.fetch(root).await, Ok(bytes));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn fetches_of_one_cid_at_once_ask_once() {
    let (dag, root, bytes) = example();
    let server = honest(&dag);
    let setup = setup(&[&server]);
    let (one, two, three) = tokio::join!(setup.fetch(root), setup.fetch(root), setup.fetch(root));
    assert_eq!([one, two, three], [Ok(bytes.clone()), Ok(bytes.clone()), Ok(bytes)]);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_gateway_that_is_no_use_is_left_for_the_next() {
    let (dag, root, bytes) = example();
    let other = Dag::default().raw(b"another file");
    let car = dag.whole_car(root);
    let of_other = {
        let mut car = header(&[root]);
        section(&mut car, &other.to_bytes(), b"another file");
        car
    };
    let lying = {
        let mut car = header(&[root]);
        section(&mut car, &root.to_bytes(), b"another file");
        car
    };
    let short = [&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &car[..car.len() / 2]].concat();
    let chunked = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n200\r\n"[..], &car[..0x200], b"\r\n"].concat();
    let version_2 = [&[10, 0xa1, 0x67][..], b"version", &[2]].concat();
    for (what, says, reason) in [
        ("a page", ok("Content-Type: text/html\r\n", b"<html>"), Reason::CidMismatch),
        ("a page that is called a CAR", ok("", &b"<!DOCTYPE html><html><body>welcome</body></html>".repeat(9)), Reason::CidMismatch),
        ("gzip", ok("Content-Encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0].repeat(9)), Reason::CidMismatch),
        ("another CID's bytes", ok("", &lying), Reason::CidMismatch),
        ("another CID's CAR", ok("", &of_other), Reason::CidMismatch),
        ("a CAR of version 2", ok("", &version_2), Reason::CidMismatch),
        ("nothing", ok("", b""), Reason::CidMismatch),
        ("half of it", short, Reason::CarIncomplete),
        ("a chunk of it", chunked, Reason::CarIncomplete),
        ("404", status("404 Not Found", ""), Reason::FetchNotFound),
        ("410", status("410 Gone", ""), Reason::FetchNotFound),
        ("429", status("429 Too Many Requests", ""), Reason::FetchFailed),
        ("403", status("403 Forbidden", ""), Reason::FetchFailed),
        ("500", status("500 Internal Server Error", ""), Reason::FetchFailed),
        ("504", status("504 Gateway Timeout", ""), Reason::FetchTimeout),
        ("206", status("206 Partial Content", ""), Reason::FetchFailed),
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Reason::FetchFailed),
        ("a redirect to nowhere", status("302 Found", ""), Reason::FetchFailed),
        ("a redirect to itself", status("302 Found", "Location: /ipfs/x\r\n"), Reason::FetchFailed),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Reason::FetchFailed),
    ] {
        let useless = Server::saying(says);
        let good = honest(&dag);
        assert_eq!(setup(&[&useless, &good]).fetch(root).await, Ok(bytes.clone()), "{what}, then an honest one");

        let alone = setup(&[&useless]);
        let failure = alone.fetch(root).await.expect_err(what);
        assert_eq!(failure.reason, reason, "{what}: {failure}");
        let port = useless.port.to_string();
        assert!([&root.to_string()[..], &port, "--ipfs-gateway"].iter().all(|words| failure.message.contains(words)), "{failure}");
        assert_eq!(alone.kept(), 0);
    }
}

#[tokio::test]
async fn a_gateway_that_is_down_or_silent_is_left_for_the_next() {
    let (dag, root, bytes) = example();
    let car = dag.whole_car(root);
    let silent = gateway(|_, _, _| std::thread::sleep(Duration::from_mins(5)));
    let stalling = gateway(move |_, _, stream| {
        say(stream, &ok("", &car)[..300]);
        std::thread::sleep(Duration::from_mins(5));
    });
    let down = dead();
    let good = honest(&dag);
    for (first, reason) in [(down, Reason::FetchFailed), (silent.url(""), Reason::FetchTimeout), (stalling.url(""), Reason::FetchTimeout)] {
        let with_next = setup_with(&[first.clone(), good.url("")], |limits| limits.idle_timeout = Duration::from_secs(2));
        assert_eq!(with_next.fetch(root).await, Ok(bytes.clone()), "{first}");
        let alone = setup_with(&[first], |limits| limits.idle_timeout = Duration::from_millis(300));
        let failure = alone.fetch(root).await.expect_err("nobody answered");
        assert_eq!(failure.reason, reason, "{failure}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_any_block_is_noticed_and_the_block_had_elsewhere() {
    let (dag, root, bytes) = example();
    for damaged in dag.order(root) {
        let mut lying = dag.clone();
        lying.blocks.get_mut(&damaged).unwrap()[5] ^= 1;
        let liar = gateway(move |_, asked, stream| match asked {
            // The links of a damaged block may lead nowhere: the order is the honest one's.
            Asked::Car(root) => say(stream, &ok("", &lying.car(root, &example().0.order(root)))),
            Asked::Block(_) => say(stream, &answer(&lying, asked)),
        });
        let good = honest(&dag);
        assert_eq!(setup(&[&liar, &good]).fetch(root).await, Ok(bytes.clone()));
        let failure = setup(&[&liar]).fetch(root).await.expect_err("the bytes are wrong");
        assert_eq!(failure.reason, Reason::CidMismatch, "{failure}");
        assert!(failure.message.contains(&damaged.to_string()) && failure.message.contains(&liar.port.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn a_car_that_ends_early_is_completed_block_by_block_or_fails() {
    let (dag, root, bytes) = example();
    let order = dag.order(root);
    for length in 0..order.len() {
        let part = dag.car(root, &order[..length]);
        let with_blocks = {
            let (part, dag) = (part.clone(), dag.clone());
            gateway(move |_, asked, stream| match asked {
                Asked::Car(_) => say(stream, &ok("", &part)),
                Asked::Block(_) => say(stream, &answer(&dag, asked)),
            })
        };
        assert_eq!(setup(&[&with_blocks]).fetch(root).await, Ok(bytes.clone()), "{length} blocks, the rest alone");

        let without_blocks = gateway(move |_, asked, stream| match asked {
            Asked::Car(_) => say(stream, &ok("", &part)),
            Asked::Block(_) => say(stream, &status("404 Not Found", "")),
        });
        let alone = setup(&[&without_blocks]);
        let failure = alone.fetch(root).await.expect_err("blocks are missing");
        assert_eq!(failure.reason, Reason::CarIncomplete, "{failure}");
        assert!(failure.message.contains(&order[length].to_string()), "{failure} does not name {}", order[length]);
        assert_eq!(alone.kept(), 0);
    }
}

#[tokio::test]
async fn what_came_before_a_gateway_broke_off_is_kept() {
    let (dag, root, bytes) = example();
    let order = dag.order(root);
    let most = order[..order.len() - 1].to_vec();
    let last = order[order.len() - 1];
    let part = dag.car(root, &most);
    let first = gateway(move |_, asked, stream| match asked {
        Asked::Car(_) => say(stream, &[&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &part].concat()),
        Asked::Block(_) => say(stream, &status("503 Service Unavailable", "")),
    });
    let only_last = {
        let dag = dag.clone();
        gateway(move |_, asked, stream| match asked {
            Asked::Block(cid) if cid == last => say(stream, &answer(&dag, asked)),
            _ => say(stream, &status("404 Not Found", "")),
        })
    };
    assert_eq!(setup(&[&first, &only_last]).fetch(root).await, Ok(bytes));
}

#[tokio::test]
async fn a_gateway_that_recovers_is_asked_again() {
    let (dag, root, bytes) = example();
    let recovering = gateway(move |number, asked, stream| match number {
        0 => say(stream, &status("503 Service Unavailable", "")),
        _ => say(stream, &answer(&dag, asked)),
    });
    assert_eq!(setup(&[&recovering]).fetch(root).await, Ok(bytes));
}

#[tokio::test]
async fn a_gateway_that_knows_no_cars_gives_block_after_block() {
    let (dag, root, bytes) = example();
    let blocks = dag.blocks.len();
    let plain = gateway(move |_, asked, stream| match asked {
        Asked::Car(_) => say(stream, &status("406 Not Acceptable", "")),
        Asked::Block(_) => say(stream, &answer(&dag, asked)),
    });
    let setup = setup(&[&plain]);
    assert_eq!(setup.fetch(root).await, Ok(bytes));
    // Two tries for the whole, and one for each block.
    assert_eq!(plain.requests(), 2 + blocks);
}

#[tokio::test]
async fn each_gateway_can_have_another_part() {
    let (dag, root, bytes) = example();
    let order = dag.order(root);
    let servers: Vec<Server> = (0..3)
        .map(|part| {
            let has: BTreeMap<_, _> = order.iter().skip(part).step_by(3).map(|cid| (*cid, dag.blocks[cid].clone())).collect();
            let part = Dag { blocks: has };
            gateway(move |_, asked, stream| match asked {
                Asked::Car(root) => say(stream, &ok("", &part.car(root, &part.blocks.keys().copied().collect::<Vec<_>>()))),
                Asked::Block(_) => say(stream, &answer(&part, asked)),
            })
        })
        .collect();
    assert_eq!(setup(&servers.iter().collect::<Vec<_>>()).fetch(root).await, Ok(bytes));
}

#[tokio::test]
async fn blocks_that_nothing_links_to_are_dropped_up_to_a_point() {
    let (dag, root, bytes) = example();
    let junk = vec![7; 1 << 20];
    let cid = Dag::default().raw(&junk);
    let sha1 = Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0x11, &[7; 20]).unwrap());
    let mut some = dag.whole_car(root);
    let start = header(&[root]).len();
    let mut first = some[..start].to_vec();
    section(&mut first, &cid.to_bytes(), &junk);
    first.extend(some.split_off(start));
    assert_eq!(setup(&[&Server::saying(ok("", &first))]).fetch(root).await, Ok(bytes.clone()));

    for cid in [cid, sha1] {
        let junk = junk.clone();
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let endless = gateway(move |_, asked, stream| {
            if asked != Asked::Car(root) {
                return say(stream, &status("404 Not Found", ""));
            }
            let mut part = Vec::new();
            section(&mut part, &cid.to_bytes(), &junk);
            say(stream, &[&b"HTTP/1.1 200 OK\r\n\r\n"[..], &header(&[root])].concat());
            while std::io::Write::write_all(stream, &part).is_ok() {}
            seen.store(true, Ordering::SeqCst);
        });
        let good = honest(&dag);
        assert_eq!(setup(&[&endless, &good]).fetch(root).await, Ok(bytes.clone()));
        let failure = setup(&[&endless]).fetch(root).await.expect_err("it has no end");
        assert_eq!(failure.reason, Reason::FetchTooLarge, "{failure}");
        assert!(stopped.load(Ordering::SeqCst), "it was read on");
    }
}

#[tokio::test]
async fn a_block_larger_than_a_block_can_be_is_not_read_to_its_end() {
    let bytes = vec![7; 3 << 20];
    let mut dag = Dag::default();
    let (raw, size) = (dag.raw(&bytes), bytes.len());
    let failure = setup(&[&honest(&dag)]).fetch(raw).await.expect_err("it is no block");
    assert_eq!(failure.reason, Reason::FetchTooLarge, "{failure} ({size} bytes)");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_by_its_first_block() {
    let bytes = vec![7; usize::try_from(MAX_BYTES).unwrap() + 1];
    let mut dag = Dag::default();
    let root = dag.file(&bytes, Shape { chunk: 1000, width: 2000, ..SHAPE });
    let root_block = dag.car(root, &[root]);
    let only_root = Server::saying(ok("", &root_block));
    let setup = setup(&[&only_root]);
    let failure = setup.fetch(root).await.expect_err("it is too large");
    assert_eq!((failure.reason, only_root.requests(), setup.kept()), (Reason::FetchTooLarge, 1, 0), "{failure}");
}

#[tokio::test]
async fn a_digest_is_checked_whatever_the_cid_says() {
    let (dag, root, bytes) = example();
    let server = honest(&dag);
    let setup = setup(&[&server]);
    let digest = Digest::from_bytes(Sha256::digest(&bytes).into());
    let other = Digest::from_bytes([7; 32]);
    for _ in 0..2 {
        let failure = setup.fetch_as(root, Some(&other)).await.expect_err("another file was meant");
        assert_eq!(failure.reason, Reason::DigestMismatch, "{failure}");
        assert!(failure.message.contains(&other.to_string()) && failure.message.contains(&digest.to_string()), "{failure}");
        assert_eq!(setup.fetch_as(root, Some(&digest)).await, Ok(bytes.clone()));
    }
}

#[tokio::test]
async fn redirects_stay_with_the_gateway_or_lead_to_public_places() {
    let (dag, root, bytes) = example();
    let path = move |asked: Asked| match asked {
        Asked::Car(cid) => format!("/ipfs/{cid}?format=car&dag-scope=all"),
        Asked::Block(cid) => format!("/ipfs/{cid}?format=raw"),
    };
    let (inside, its_dag) = (honest(&dag), dag.clone());
    let within = gateway(move |number, asked, stream| match number {
        0 => say(stream, &status("301 Moved Permanently", &format!("Location: {}\r\n", path(asked)))),
        _ => say(stream, &answer(&its_dag, asked)),
    });
    assert_eq!(setup(&[&within]).fetch(root).await, Ok(bytes));
    for target in [inside.url(""), "http://169.254.169.254".to_owned(), "http://[::1]".to_owned(), "file://".to_owned()] {
        let away = gateway(move |_, asked, stream| say(stream, &status("302 Found", &format!("Location: {target}{}\r\n", path(asked)))));
        let failure = setup(&[&away]).fetch(root).await.expect_err("it leads inside");
        assert_eq!(failure.reason, Reason::FetchDenied, "{failure}");
    }
    assert_eq!(inside.requests(), 0);
}

#[tokio::test]
async fn without_a_gateway_the_message_says_how_to_name_one() {
    let (_, root, _) = example();
    let failure = setup(&[]).fetch(root).await.expect_err("there is nobody to ask");
    assert_eq!(failure.reason, Reason::FetchFailed);
    assert!(failure.message.ends_with("there is no gateway to ask; name a gateway with --ipfs-gateway"), "{failure}");
}

#[tokio::test]
async fn a_directory_is_no_file_and_a_digest_is_for_files() {
    let (mut dag, file, _) = example();
    let root = dag.directory(&[("a", file)]);
    let server = honest(&dag);
    let setup = setup(&[&server]);
    let failure = setup.fetch(root).await.expect_err("it is a directory");
    assert_eq!(failure.reason, Reason::InvalidSpec, "{failure}");
    let source = IpfsSource { cid: root.to_string(), path: None };
    let digest = Digest::from_bytes([7; 32]);
    let tree = setup.fetcher.tree(Source::Ipfs(&source), "input", Some(&digest), &Progress::default()).await;
    assert_eq!(tree.expect_err("a directory has no digest").reason, Reason::InvalidSpec);
}
