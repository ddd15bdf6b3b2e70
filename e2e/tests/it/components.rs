//! The real programs start, hold bytes, keep strangers out, and are gone when the test is.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use e2e::kubo::Layout;
use e2e::minio::Keys;
use e2e::{Kubo, Minio};

use crate::http;

fn is_running(id: u32) -> bool {
    Path::new("/proc").join(id.to_string()).exists()
}

#[tokio::test]
async fn minio_holds_objects_and_ends_with_the_test() {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket("pictures").await.expect("created");
    minio.put("pictures", "a/one.bin", *b"one").await.expect("stored");
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), vec![7; 3_000_000]).expect("written");
    minio.put_file("pictures", "two.bin", file.path()).await.expect("stored");

    assert_eq!(minio.get("pictures", "a/one.bin").await.expect("read"), b"one");
    assert_eq!(minio.get("pictures", "two.bin").await.expect("read"), vec![7; 3_000_000]);
    assert_eq!(minio.list("pictures").await.expect("listed"), ["a/one.bin", "two.bin"]);

    let id = minio.id();
    assert!(is_running(id));
    drop(minio);
    assert!(!is_running(id));
}

#[tokio::test]
async fn minio_says_what_each_kind_of_stranger_may_not_do() {
    let minio = Minio::start().await.expect("MinIO starts");
    for bucket in ["open", "closed"] {
        minio.create_bucket(bucket).await.expect("created");
        minio.put(bucket, "x", *b"x").await.expect("stored");
    }
    let code = async |keys: &Keys, bucket: &str| {
        let answer = minio.client_with(keys).get_object().bucket(bucket).key("x").send().await;
        answer.map(drop).map_err(|error| error.into_service_error().meta().code().unwrap_or_default().to_owned())
    };
    let reader = minio.reader_of("open").await.expect("a session");
    let stranger = Keys { access_key: "nobody".to_owned(), ..minio.keys().clone() };
    let forger = Keys { secret_key: "guessed".to_owned(), ..minio.keys().clone() };
    assert_eq!(code(&reader, "open").await, Ok(()));
    assert_eq!(code(&reader, "closed").await, Err("AccessDenied".to_owned()));
    assert_eq!(code(&stranger, "open").await, Err("InvalidAccessKeyId".to_owned()));
    assert_eq!(code(&forger, "open").await, Err("SignatureDoesNotMatch".to_owned()));

    let written = minio.client_with(&reader).put_object().bucket("open").key("y").send().await;
    let error = written.expect_err("a reader does not write").into_service_error();
    assert_eq!(error.meta().code(), Some("AccessDenied"));
}

#[test]
fn a_panicking_test_leaves_nothing_running() {
    let (sender, started) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let kubo = Kubo::start().expect("kubo starts");
        sender.send(kubo.id()).expect("the test below listens");
        panic!("as a failing test does, on purpose");
    });
    let id = started.recv().expect("it started");
    assert!(test.join().is_err());
    assert!(!is_running(id));
}

#[tokio::test]
async fn two_minios_run_beside_each_other() {
    let (one, two) = (Minio::start().await.expect("MinIO starts"), Minio::start().await.expect("MinIO starts"));
    one.create_bucket("mine").await.expect("created");
    assert!(two.list("mine").await.is_err(), "they share nothing");
    assert_ne!(one.endpoint(), two.endpoint());
}

#[test]
fn kubo_gives_each_layout_its_own_blocks_and_ends_with_the_test() {
    let kubo = Kubo::start().expect("kubo starts");
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let layouts = [
        Layout::default(),
        Layout { cid_v1: true, ..Layout::default() },
        Layout { cid_v1: true, raw_leaves: Some(false), ..Layout::default() },
        Layout { chunk: Some(1024), max_file_links: Some(4), ..Layout::default() },
        Layout { chunk: Some(4096), trickle: true, ..Layout::default() },
        Layout { cid_v1: true, hash: Some("blake3"), ..Layout::default() },
    ];
    let cids: Vec<String> = layouts.iter().map(|layout| kubo.add_bytes(&bytes, layout).expect("added")).collect();
    assert_eq!(cids.iter().collect::<BTreeSet<_>>().len(), layouts.len(), "{cids:?}");
    assert!(cids[0].starts_with("Qm") && cids[1].starts_with("bafy"), "{cids:?}");
    for cid in &cids {
        assert!(kubo.cat(cid).expect("read") == bytes, "{cid}");
        assert!(kubo.is_pinned(cid).expect("asked"), "{cid}");
        assert!(kubo.car(cid).expect("exported").len() > bytes.len(), "{cid}");
    }
    let id = kubo.id();
    assert!(is_running(id));
    drop(kubo);
    assert!(!is_running(id));
}

#[test]
fn kubo_shards_folders_and_can_lose_a_block() {
    let kubo = Kubo::start().expect("kubo starts");
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..40 {
        fs::write(folder.path().join(format!("file-{number}")), format!("{number}\n")).expect("written");
    }
    let plain = kubo.add(folder.path(), &Layout { cid_v1: true, ..Layout::default() }).expect("added");
    let sharded = kubo.add(folder.path(), &Layout { cid_v1: true, shard_above: Some(8), ..Layout::default() }).expect("added");
    assert_ne!(plain, sharded);
    // A HAMT's links carry a two-digit position before the name.
    let links = String::from_utf8(kubo.run(&["dag", "get", &sharded]).expect("read")).expect("JSON");
    assert!(!links.contains("\"Name\":\"file-0\""), "{links}");
    assert_eq!(kubo.cat(&format!("{sharded}/file-7")).expect("read"), b"7\n");

    let lost = &kubo.blocks_below(&sharded).expect("listed")[0];
    kubo.run(&["pin", "rm", &plain]).expect("unpinned");
    kubo.run(&["pin", "rm", &sharded]).expect("unpinned");
    kubo.remove_block(lost).expect("removed");
    assert!(kubo.block(lost).is_err(), "offline it cannot come back");
}

#[tokio::test]
async fn kubo_answers_as_a_trustless_gateway_and_over_rpc() {
    let kubo = Kubo::start().expect("kubo starts");
    let cid = kubo.add_bytes(b"hello", &Layout { cid_v1: true, ..Layout::default() }).expect("added");
    let gateway = format!("{}/ipfs/{cid}", kubo.gateway());
    let block = http().get(&gateway).header("Accept", "application/vnd.ipld.raw").send().await.expect("answered");
    assert_eq!(block.bytes().await.expect("read").as_ref(), b"hello");
    let car = http().get(&gateway).header("Accept", "application/vnd.ipld.car").send().await.expect("answered");
    assert_eq!(car.headers()["content-type"].to_str().expect("text").split(';').next(), Some("application/vnd.ipld.car"));
    let rpc = http().post(format!("{}/api/v0/block/get?arg={cid}", kubo.rpc())).send().await.expect("answered");
    assert_eq!(rpc.bytes().await.expect("read").as_ref(), b"hello");
}
