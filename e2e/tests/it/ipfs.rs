//! The runner fetches from a real kubo, through its trustless gateway and through its RPC, whatever layout the data has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crds::reason::Reason;
use crds::source::{IpfsSource, Source};
use e2e::Kubo;
use e2e::kubo::Layout;
use runner::failure::Failure;
use runner::fetch::ipfs::IpfsAccess;
use runner::fetch::{FetchConfig, FetchLimits, Fetcher, Progress, Tree};
use runner::store::Store;

/// One side of a node.
#[derive(Clone, Copy, Debug)]
enum Side {
    Gateway,
    Rpc,
}

const SIDES: [Side; 2] = [Side::Gateway, Side::Rpc];

/// A fetcher with a store of its own.
struct Runner {
    fetcher: Fetcher,
    _directory: tempfile::TempDir,
}

impl Runner {
    fn new(gateways: &[&str], rpc: &[&str]) -> Self {
        let urls = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a URL")).collect();
        let limits = FetchLimits { idle_timeout: Duration::from_mins(1), ..FetchLimits::default() };
        let ipfs = IpfsAccess { gateways: urls(gateways), rpc: urls(rpc) };
        let directory = tempfile::tempdir().expect("a folder");
        let store = Store::open(directory.path(), 4 << 30).expect("a store");
        let fetcher = Fetcher::new(FetchConfig { limits, ipfs, ..FetchConfig::default() }, store).expect("a fetcher");
        Self { fetcher, _directory: directory }
    }

    fn of(kubo: &Kubo, side: Side) -> Self {
        match side {
            Side::Gateway => Self::new(&[kubo.gateway()], &[]),
            Side::Rpc => Self::new(&[], &[kubo.rpc()]),
        }
    }

    async fn file(&self, cid: &str, path: Option<&str>) -> Result<Vec<u8>, Failure> {
        let source = IpfsSource { cid: cid.to_owned(), path: path.map(str::to_owned) };
        let fetched = self.fetcher.file(Source::Ipfs(&source), None, 1 << 30, &Progress::default()).await?;
        Ok(fs::read(fetched.blob.path()).expect("a kept file"))
    }

    async fn tree(&self, cid: &str, path: Option<&str>) -> Result<Tree, Failure> {
        let source = IpfsSource { cid: cid.to_owned(), path: path.map(str::to_owned) };
        self.fetcher.tree(Source::Ipfs(&source), "input", None, &Progress::default()).await
    }
}

/// Bytes that repeat nowhere and compress to nothing.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

/// Files with directories above them, an empty directory, and names that need care.
fn make_folder(folder: &Path, files: usize) -> BTreeMap<String, Vec<u8>> {
    fs::create_dir_all(folder.join("deep/er")).expect("made");
    fs::create_dir_all(folder.join("empty")).expect("made");
    fs::create_dir_all(folder.join("many")).expect("made");
    let mut expected = BTreeMap::from([
        ("image0.JPG".to_owned(), noise(700_000)),
        ("none".to_owned(), Vec::new()),
        ("zeros".to_owned(), vec![0; 3_000_000]),
        ("deep/er/ünï cödé #%?&+.txt".to_owned(), b"text".to_vec()),
    ]);
    expected.extend((0..files).map(|n| (format!("many/file-{n}"), n.to_string().into_bytes())));
    for (path, bytes) in &expected {
        fs::write(folder.join(path), bytes).expect("written");
    }
    expected
}

fn files_of(tree: &Tree) -> BTreeMap<String, Vec<u8>> {
    tree.files.iter().map(|file| (file.path.clone(), fs::read(file.blob.path()).expect("a kept file"))).collect()
}

fn layouts() -> Vec<Layout> {
    let small = Layout { chunk: Some(1000), max_file_links: Some(3), ..Layout::default() };
    vec![
        Layout::default(),
        Layout { cid_v1: true, ..Layout::default() },
        Layout { cid_v1: true, raw_leaves: Some(false), ..Layout::default() },
        Layout { raw_leaves: Some(true), ..Layout::default() },
        Layout { cid_v1: true, hash: Some("blake3"), ..small.clone() },
        Layout { cid_v1: true, hash: Some("blake2b-256"), ..Layout::default() },
        Layout { trickle: true, ..small.clone() },
        Layout { trickle: true, cid_v1: true, ..small.clone() },
        small,
    ]
}

#[tokio::test]
async fn a_file_of_every_layout_arrives_from_gateway_and_rpc() {
    let kubo = Kubo::start().expect("kubo starts");
    for layout in layouts() {
        for bytes in [Vec::new(), b"short".to_vec(), noise(100_000), vec![0; 1_000_000]] {
            let cid = kubo.add_bytes(&bytes, &layout).expect("added");
            for side in SIDES {
                let fetched = Runner::of(&kubo, side).file(&cid, None).await;
                assert!(fetched.as_ref() == Ok(&bytes), "{layout:?} {side:?} {cid}: {:?}", fetched.map(|bytes| bytes.len()));
            }
        }
    }
}

#[tokio::test]
async fn a_folder_arrives_plain_and_sharded_from_gateway_and_rpc() {
    let kubo = Kubo::start().expect("kubo starts");
    let folder = tempfile::tempdir().expect("a folder");
    let expected = make_folder(folder.path(), 300);
    for layout in [
        Layout::default(),
        Layout { cid_v1: true, ..Layout::default() },
        Layout { cid_v1: true, shard_above: Some(8), ..Layout::default() },
        Layout { shard_above: Some(2), ..Layout::default() },
    ] {
        let cid = kubo.add(folder.path(), &layout).expect("added");
        for side in SIDES {
            let runner = Runner::of(&kubo, side);
            let tree = runner.tree(&cid, None).await.unwrap_or_else(|failure| panic!("{layout:?} {side:?}: {failure}"));
            assert_eq!(tree.directories, ["deep", "deep/er", "empty", "many"]);
            assert!(files_of(&tree) == expected, "{layout:?} {side:?}");
            for (path, bytes) in [("many/file-123", &expected["many/file-123"]), ("image0.JPG", &expected["image0.JPG"])] {
                assert!(Runner::of(&kubo, side).file(&cid, Some(path)).await.as_ref() == Ok(bytes), "{layout:?} {side:?} {path}");
            }
            let named = runner.tree(&cid, Some("deep/er/ünï cödé #%?&+.txt")).await.expect("one file");
            assert_eq!(files_of(&named), BTreeMap::from([("ünï cödé #%?&+.txt".to_owned(), b"text".to_vec())]));
            let many = runner.tree(&cid, Some("many")).await.expect("a folder below");
            assert_eq!(many.files.len(), 300);
            let missing = runner.file(&cid, Some("many/file-300")).await.expect_err("there is no such file");
            assert_eq!(missing.reason, Reason::FetchNotFound, "{missing}");
        }
    }
}

#[tokio::test]
async fn the_widest_real_shards_are_read() {
    let kubo = Kubo::start().expect("kubo starts");
    let folder = tempfile::tempdir().expect("a folder");
    let expected = make_folder(folder.path(), 2000);
    let arguments = ["add", "--quieter", "--recursive", "--cid-version=1", "--max-directory-links=100", "--max-hamt-fanout=256"];
    let cid = kubo.run(&[&arguments[..], &[folder.path().to_str().expect("a path")]].concat()).expect("added");
    let cid = String::from_utf8(cid).expect("text").trim().to_owned();
    let runner = Runner::of(&kubo, Side::Gateway);
    let tree = runner.tree(&cid, None).await.expect("a tree");
    assert!(files_of(&tree) == expected);
}

#[tokio::test]
async fn what_was_fetched_once_needs_no_node_and_what_was_evicted_is_fetched_again() {
    let kubo = Kubo::start().expect("kubo starts");
    let folder = tempfile::tempdir().expect("a folder");
    let expected = make_folder(folder.path(), 20);
    let cid = kubo.add(folder.path(), &Layout::default()).expect("added");
    let runner = Runner::of(&kubo, Side::Gateway);
    let digest = {
        let tree = runner.tree(&cid, None).await.expect("a tree");
        tree.files.iter().find(|file| file.path == "image0.JPG").expect("it is there").blob.digest()
    };
    let blob = runner.fetcher.store().directory().join("blobs").join(digest.hex());
    fs::remove_file(&blob).expect("evicted");
    let again = runner.tree(&cid, None).await.expect("a tree");
    assert!(files_of(&again) == expected);
    assert!(blob.exists());
    drop(kubo);
    let offline = runner.tree(&cid, None).await.expect("a tree without a node");
    assert_eq!(offline, again);
}

#[tokio::test]
async fn a_block_that_one_node_lost_comes_from_another() {
    let (one, two) = (Kubo::start().expect("kubo starts"), Kubo::start().expect("kubo starts"));
    let layout = Layout { cid_v1: true, chunk: Some(10_000), ..Layout::default() };
    let bytes = noise(500_000);
    let cid = one.add_bytes(&bytes, &layout).expect("added");
    assert_eq!(two.add_bytes(&bytes, &layout).expect("added"), cid);
    let lost = one.blocks_below(&cid).expect("blocks");
    one.run(&["pin", "rm", &cid]).expect("unpinned");
    one.remove_block(&lost[20]).expect("removed");

    let both = Runner::new(&[one.gateway(), two.gateway()], &[]);
    assert!(both.file(&cid, None).await.as_ref() == Ok(&bytes));
    let gateway_and_rpc = Runner::new(&[one.gateway()], &[two.rpc()]);
    assert!(gateway_and_rpc.file(&cid, None).await.as_ref() == Ok(&bytes));

    let alone = Runner::new(&[one.gateway()], &[one.rpc()]).file(&cid, None).await.expect_err("a block is missing");
    assert_eq!(alone.reason, Reason::CarIncomplete, "{alone}");
    assert!(alone.message.contains(&lost[20]) && alone.message.contains("--ipfs-gateway"), "{alone}");
}

#[tokio::test]
async fn a_cid_that_no_node_has_is_not_found() {
    let kubo = Kubo::start().expect("kubo starts");
    let elsewhere = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    let runner = Runner::new(&[kubo.gateway()], &[kubo.rpc()]);
    let failure = runner.file(elsewhere, None).await.expect_err("nobody has it");
    assert_eq!(failure.reason, Reason::FetchNotFound, "{failure}");
}
