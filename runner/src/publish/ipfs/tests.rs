use std::io;

use super::block::{Block, Link};
use super::{StatusCode, confirmed, directory, file, shown};

fn cut(bytes: &[u8]) -> (Link, Vec<Block>) {
    let mut blocks = Vec::new();
    let piece = file::cut(bytes, &mut |block| {
        blocks.push(block);
        Ok(())
    });
    (piece.expect("memory can be read").link, blocks)
}

/// What other implementations name the same bytes.
#[test]
fn files_and_directories_have_the_cids_that_everybody_gives_them() {
    let rows: [(&[u8], &str); 2] = [
        (b"", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
        (b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
    ];
    for (bytes, expected) in rows {
        assert_eq!(cut(bytes).0.cid.to_string(), expected);
    }
    let empty = directory::tree(std::iter::empty(), &mut Vec::new()).expect("no names, no hashes");
    assert_eq!(empty.cid.to_string(), "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354");
}

#[test]
fn blocks_come_before_those_that_link_to_them_and_none_has_more_than_174_links() {
    // Pieces, and all blocks: 174 fill a node, one more needs a second node and a root.
    for (pieces, blocks) in [(1, 1), (2, 3), (174, 175), (175, 178), (348, 351)] {
        let (root, all) = cut(&vec![7; pieces * (256 << 10)]);
        assert_eq!(all.len(), blocks, "{pieces} pieces");
        assert_eq!(all.last().map(|block| block.cid), Some(root.cid), "{pieces} pieces");
    }
}

#[test]
fn a_disk_that_fails_ends_the_cutting() {
    let full = file::cut(&b"x"[..], &mut |_| Err(io::ErrorKind::BrokenPipe.into()));
    assert_eq!(full.expect_err("nobody takes it").kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn only_a_node_that_pinned_this_very_root_has_confirmed_it() {
    let (root, _) = cut(b"hello world");
    let answer = |cid: &str, error: &str| format!(r#"{{"Root":{{"Cid":{{"/":"{cid}"}},"PinErrorMsg":"{error}"}}}}"#);
    let own = root.cid.to_string();
    let ok = StatusCode::OK;
    for (status, body, expected) in [
        (ok, answer(&own, ""), None),
        (ok, format!("{{\"Stats\":{{\"BlockCount\":1}}}}\n{}\n", answer(&own, "")), None),
        (ok, answer("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", ""), Some("says the CID is \"bafkreihdwdcefgh")),
        (ok, answer(&own, "block was not found"), Some("could not pin the blocks: block was not found")),
        (ok, String::new(), Some("names no root")),
        (ok, "<html>".to_owned(), Some("names no root")),
        (ok, r#"{"Root":{"Cid":{"/":"garbage"}}}"#.to_owned(), Some("says the CID is \"garbage\"")),
        (StatusCode::FORBIDDEN, "403 - Forbidden".to_owned(), Some("answered 403 Forbidden: 403 - Forbidden")),
        (StatusCode::NOT_FOUND, "404 page not found\n".to_owned(), Some("404 page not found")),
    ] {
        let said = confirmed(status, body.as_bytes(), &root.cid).err();
        match (&said, expected) {
            (None, None) => {}
            (Some(said), Some(expected)) => assert!(said.contains(expected), "{said}"),
            _ => panic!("{status} {body}: {said:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn messages_have_a_nodes_address_and_no_more() {
    let url = "http://user:secret@127.0.0.1:5001/api?token=x".parse().expect("a URL");
    assert_eq!(shown(&url), "http://127.0.0.1:5001");
}
