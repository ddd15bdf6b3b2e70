use std::sync::OnceLock;

use ::cid::Cid as PlainCid;
use ipld_dagpb::PbLink;
use proptest::prelude::*;

use super::car::CarParser;
use super::fixtures::{Dag, Fields, Shape};
use super::*;
use crate::fetch::address::AddressPolicy;
use crate::store::Blob;

const LIMITS: Limits = Limits { bytes: 64 << 20, entries: 1000 };

/// A file's path and bytes; a directory's path alone.
type Entry = (String, Option<Vec<u8>>);

/// What a walk from `root` finds when the blocks of this CAR, up to its first fault, are all that can be had.
async fn walk_car(car: &[u8], root: PlainCid, limits: Limits) -> Result<Vec<Entry>, Failure> {
    let mut given = given();
    let mut parser = CarParser::default();
    parser.push(car);
    while let Ok(Some(block)) = parser.next_block() {
        given.blocks.keep(&block)?;
    }
    let root = parse_cid(&root.to_string())?;
    let found = walk::tree(&mut given.blocks, root, limits, &given.store, &Progress::default()).await?;
    Ok(entries(&found))
}

async fn walk_dag(dag: &Dag, root: PlainCid) -> Result<Vec<Entry>, Failure> {
    walk_car(&dag.whole_car(root), root, LIMITS).await
}

async fn resolve_in(dag: &Dag, root: PlainCid, path: &[&str]) -> Result<String, Failure> {
    let mut given = given();
    let mut parser = CarParser::default();
    parser.push(&dag.whole_car(root));
    while let Ok(Some(block)) = parser.next_block() {
        given.blocks.keep(&block)?;
    }
    Ok(resolve::resolve(&mut given.blocks, parse_cid(&root.to_string())?, path).await?.to_string())
}

struct Given {
    blocks: Blocks<'static>,
    store: Store,
    _directory: tempfile::TempDir,
}

/// A store of its own, and no server at all.
fn given() -> Given {
    static CLIENTS: OnceLock<(reqwest::Client, Http, FetchLimits)> = OnceLock::new();
    let (trusted, checked, limits) = CLIENTS.get_or_init(|| {
        let limits = FetchLimits::default();
        (trusted_client(&limits).unwrap(), Http::new(limits.clone(), AddressPolicy::default()), limits)
    });
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), 1 << 30).unwrap();
    let subject = parse_cid("QmWATWQ7fVPP2EFGu71UkfnqhYXDYH566qy47CnJDgvs8u").unwrap();
    let sources = Sources::new(Network { trusted, checked, limits }, std::iter::empty(), subject);
    Given { blocks: Blocks::new(sources, directory.path()).unwrap(), store, _directory: directory }
}

fn entries(found: &Found) -> Vec<Entry> {
    let read = |blob: &Blob| std::fs::read(blob.path()).unwrap();
    let mut entries: Vec<Entry> = found.directories.iter().map(|path| (path.clone(), None)).collect();
    entries.extend(found.files.iter().map(|file| (file.path.clone(), Some(read(&file.blob)))));
    entries.sort();
    entries
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn reason<T: std::fmt::Debug>(result: Result<T, Failure>) -> (Reason, String) {
    let failure = result.expect_err("it must fail");
    (failure.reason, failure.message)
}

fn shape() -> impl Strategy<Value = Shape> {
    (1_usize..40, 2_usize..6, any::<bool>(), any::<bool>()).prop_map(|(chunk, width, raw_leaves, inner_data)| Shape {
        chunk,
        width,
        raw_leaves,
        inner_data,
    })
}

const SMALL: Shape = Shape { chunk: 7, width: 3, raw_leaves: true, inner_data: false };

/// A file of several levels in a directory in a directory, and one beside it.
fn example() -> (Dag, PlainCid, Vec<Entry>) {
    let mut dag = Dag::default();
    let (long, short) = ((0..100_u8).collect::<Vec<_>>(), b"short".to_vec());
    let (long_cid, short_cid) = (dag.file(&long, SMALL), dag.file(&short, SMALL));
    let inner = dag.directory(&[("long", long_cid)]);
    let root = dag.directory(&[("inner", inner), ("short", short_cid)]);
    let expected = vec![("inner".into(), None), ("inner/long".into(), Some(long)), ("short".into(), Some(short))];
    (dag, root, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_of_any_shape_is_walked_back_to_its_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000), shape in shape()) {
        let mut dag = Dag::default();
        let root = dag.file(&bytes, shape);
        prop_assert_eq!(block_on(walk_dag(&dag, root)), Ok(vec![(String::new(), Some(bytes))]));
    }

    #[test]
    fn directories_plain_and_sharded_are_walked_back(
        names in proptest::collection::btree_set("[a-zA-Z0-9._ äö-]{1,12}", 0..60),
        fanout in 3_u32..8,
        sharded in any::<bool>(),
        shape in shape(),
    ) {
        let names: Vec<String> = names.into_iter().filter(|name| name != "." && name != "..").collect();
        let mut dag = Dag::default();
        let cids: Vec<_> = names.iter().map(|name| dag.file(name.as_bytes(), shape)).collect();
        let inside: Vec<_> = names.iter().map(String::as_str).zip(cids.iter().copied()).collect();
        let directory = if sharded { dag.sharded(&inside, 1 << fanout) } else { dag.directory(&inside) };
        let root = dag.directory(&[("d", directory)]);
        let mut expected = vec![("d".to_owned(), None)];
        expected.extend(names.iter().map(|name| (format!("d/{name}"), Some(name.clone().into_bytes()))));
        expected.sort();
        prop_assert_eq!(block_on(walk_dag(&dag, root)), Ok(expected));
        for (name, cid) in inside {
            prop_assert_eq!(block_on(resolve_in(&dag, root, &["d", name])), Ok(cid.to_string()));
        }
        let (reason, _) = reason(block_on(resolve_in(&dag, root, &["d", "not there"])));
        prop_assert_eq!(reason, Reason::FetchNotFound);
    }

    #[test]
    fn any_order_and_any_repetition_gives_the_same_files(order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let (dag, root, expected) = example();
        let all = dag.order(root);
        let mut shuffled: Vec<_> = order.iter().map(|index| all[index.index(all.len())]).collect();
        shuffled.extend(all.iter().rev());
        prop_assert_eq!(block_on(walk_car(&dag.car(root, &shuffled), root, LIMITS)), Ok(expected));
    }

    #[test]
    fn any_damage_gives_the_right_files_or_a_failure(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let (dag, root, expected) = example();
        let mut car = dag.whole_car(root);
        let index = at.index(car.len());
        let unchanged = car[index] == byte;
        car[index] = byte;
        let length = cut.index(car.len() + 1);
        match block_on(walk_car(&car[..length], root, LIMITS)) {
            Ok(found) => prop_assert!(found == expected && (unchanged || index < 100) && length == car.len()),
            // Nobody could be asked for what was missing.
            Err(failure) => prop_assert_eq!(failure.reason, Reason::FetchFailed),
        }
    }
}

#[test]
fn a_car_cut_short_at_any_byte_is_never_a_success() {
    let (dag, root, expected) = example();
    let car = dag.whole_car(root);
    block_on(async {
        for length in 0..car.len() {
            let failure = walk_car(&car[..length], root, LIMITS).await.expect_err("a part was taken for the whole");
            assert!(failure.message.contains("could not be fetched"), "{}", failure.message);
        }
        assert_eq!(walk_car(&car, root, LIMITS).await, Ok(expected));
    });
}

#[test]
fn a_missing_block_is_named() {
    let (dag, root, _) = example();
    block_on(async {
        for missing in dag.order(root) {
            let rest: Vec<_> = dag.order(root).into_iter().filter(|cid| *cid != missing).collect();
            let (_, message) = reason(walk_car(&dag.car(root, &rest), root, LIMITS).await);
            assert!(message.contains(&missing.to_string()), "{message} does not name {missing}");
        }
    });
}

#[test]
fn a_file_under_several_names_is_there_under_each() {
    let mut dag = Dag::default();
    let file = dag.file(&[7; 100], SMALL);
    let root = dag.directory(&[("a", file), ("b", file)]);
    let expected = ["a", "b"].map(|name| (name.to_owned(), Some(vec![7; 100]))).to_vec();
    assert_eq!(block_on(walk_dag(&dag, root)), Ok(expected));
}

#[test]
fn small_data_inside_a_cid_needs_no_block() {
    let mut dag = Dag::default();
    let inline = PlainCid::new_v1(0x55, ::cid::multihash::Multihash::wrap(0, b"inline").unwrap());
    let root = dag.directory(&[("x", inline)]);
    assert_eq!(block_on(walk_dag(&dag, root)), Ok(vec![("x".to_owned(), Some(b"inline".to_vec()))]));
}

#[test]
fn what_a_small_dag_makes_large_is_too_large() {
    let mut dag = Dag::default();
    // A thousand times a thousand times the same kilobyte.
    let leaf = dag.raw(&[0; 1000]);
    let wide = |dag: &mut Dag, cid, size: u64| {
        let links = vec![PbLink { cid, name: None, size: None }; 1000];
        dag.node(links, Fields { kind: 2, size: Some(size * 1000), sizes: vec![size; 1000], ..Fields::default() }.bytes())
    };
    let million = wide(&mut dag, leaf, 1000);
    let billion = wide(&mut dag, million, 1_000_000);
    // Directories of directories: 20 to the power of 30 entries.
    let mut nested = dag.directory(&[]);
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for _ in 0..30 {
        let entries: Vec<_> = names.iter().map(|name| (name.as_str(), nested)).collect();
        nested = dag.directory(&entries);
    }
    // The same file again and again counts each time.
    let again = dag.directory(&names.iter().map(|name| (name.as_str(), million)).collect::<Vec<_>>());
    block_on(async {
        for root in [billion, nested, again] {
            let limits = Limits { bytes: 10 << 20, ..LIMITS };
            assert_eq!(reason(walk_car(&dag.whole_car(root), root, limits).await).0, Reason::FetchTooLarge);
        }
    });
}

#[test]
fn endless_links_without_bytes_come_to_an_end() {
    let mut dag = Dag::default();
    let mut empty = dag.raw(b"");
    for _ in 0..6 {
        let links = vec![PbLink { cid: empty, name: None, size: None }; 1000];
        empty = dag.node(links, Fields { kind: 2, size: Some(0), sizes: vec![0; 1000], ..Fields::default() }.bytes());
    }
    let (reason, message) = reason(block_on(walk_dag(&dag, empty)));
    assert_eq!(reason, Reason::FetchTooLarge, "{message}");
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let mut dag = Dag::default();
    let mut file = dag.raw(b"x");
    for _ in 0..10_000 {
        let links = vec![PbLink { cid: file, name: None, size: None }];
        file = dag.node(links, Fields { kind: 2, size: Some(1), sizes: vec![1], ..Fields::default() }.bytes());
    }
    let mut directory = dag.raw(b"x");
    for _ in 0..900 {
        directory = dag.directory(&[("d", directory)]);
    }
    block_on(async {
        for root in [file, directory] {
            assert_eq!(reason(walk_dag(&dag, root).await).0, Reason::CidInvalid);
        }
    });
}

#[test]
fn a_dag_that_contradicts_itself_is_refused() {
    let mut dag = Dag::default();
    let leaf = dag.raw(b"hello");
    let piece = |dag: &mut Dag, cid, size: u64| {
        let links = vec![PbLink { cid, name: None, size: None }];
        dag.node(links, Fields { kind: 2, size: Some(size), sizes: vec![size], ..Fields::default() }.bytes())
    };
    let (small, large) = (piece(&mut dag, leaf, 4), piece(&mut dag, leaf, 6));
    let directory = dag.directory(&[("a", leaf)]);
    let in_file = piece(&mut dag, directory, 0);
    let symlink = dag.node(Vec::new(), Fields { kind: 4, data: Some(b"/etc/passwd".to_vec()), ..Fields::default() }.bytes());
    let with_symlink = dag.directory(&[("a", leaf), ("link", symlink)]);
    let misplaced = {
        let one = dag.sharded(&[("a", leaf)], 16);
        let node = ipld_dagpb::PbNode::from_bytes(dag.blocks[&one].clone().into()).unwrap();
        let renamed = node.links.iter().map(|link| PbLink { name: link.name.as_ref().map(|name| format!("{name}bc")), ..link.clone() });
        dag.node(renamed.collect(), node.data.unwrap().to_vec())
    };
    let under_shard = |dag: &mut Dag, below: PlainCid| {
        let shard = Fields { kind: 5, data: Some(vec![0, 1]), hash: Some(0x22), fanout: Some(16), ..Fields::default() };
        dag.node(vec![PbLink { cid: below, name: Some("0".to_owned()), size: None }], shard.bytes())
    };
    let other_fanout = dag.sharded(&[("a", leaf)], 32);
    let (file_below, fanout_below, directory_below) =
        (under_shard(&mut dag, leaf), under_shard(&mut dag, other_fanout), under_shard(&mut dag, directory));
    let mut endless = directory;
    for _ in 0..20 {
        endless = under_shard(&mut dag, endless);
    }
    block_on(async {
        for (what, root) in [
            ("a piece longer than it should be", small),
            ("a piece shorter than it should be", large),
            ("a directory inside a file", in_file),
            ("a symbolic link", with_symlink),
            ("a name in the wrong slot", misplaced),
            ("a file where a shard should be", file_below),
            ("a directory where a shard should be", directory_below),
            ("a shard of another fan-out", fanout_below),
            ("more shards than a hash has bits", endless),
        ] {
            let (reason, message) = reason(walk_dag(&dag, root).await);
            assert_eq!(reason, Reason::CidInvalid, "{what}: {message}");
        }
    });
}

#[test]
fn a_path_leads_to_an_entry_or_says_why_not() {
    let (dag, root, _) = example();
    let resolve = |path: &'static [&str]| block_on(resolve_in(&dag, root, path));
    assert_eq!(resolve(&[]), Ok(root.to_string()));
    let long = resolve(&["inner", "long"]).unwrap();
    assert!(dag.blocks.contains_key(&long.parse().unwrap()));
    assert_eq!(reason(resolve(&["inner", "short"])).0, Reason::FetchNotFound);
    assert_eq!(reason(resolve(&["short", "x"])).0, Reason::InvalidSpec);
}

#[test]
fn a_path_is_taken_as_it_is_written() {
    let source = |path: &str| IpfsSource { cid: "QmWATWQ7fVPP2EFGu71UkfnqhYXDYH566qy47CnJDgvs8u".to_owned(), path: Some(path.to_owned()) };
    for (text, expected) in [
        ("", Some(vec![])),
        ("/", Some(vec![])),
        ("a", Some(vec!["a"])),
        ("/a/b c/", Some(vec!["a", "b c"])),
        ("100%", Some(vec!["100%"])),
        ("..", None),
        ("a/../b", None),
        ("a//b", None),
        ("./a", None),
        ("a\0", None),
        ("..%2f", None),
        ("%2E%2e/x", None),
        (&"x/".repeat(3000), None),
    ] {
        let source = source(text);
        let parsed = Place::parse(&source);
        match expected {
            Some(expected) => assert_eq!(parsed.unwrap().path, expected, "{text:?}"),
            None => assert_eq!(parsed.err().map(|failure| failure.reason), Some(Reason::InvalidSpec), "{text:?}"),
        }
    }
}
