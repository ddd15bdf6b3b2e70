use ipld_dagpb::{PbLink, PbNode};
use proptest::prelude::*;

use super::super::fixtures::{Dag, Fields as Message, varint};
use super::*;

/// What `read` says of a dag-pb block with these links and this UnixFS message.
fn read_node(links: &[(&str, usize)], message: &Message) -> Result<Node, UnixFsError> {
    let mut dag = Dag::default();
    let links = links.iter().map(|(name, leaf)| {
        let cid = dag.raw(&[u8::try_from(*leaf).unwrap_or(0)]);
        PbLink { cid, name: Some((*name).to_owned()), size: Some(1) }
    });
    // Not in the order that an encoder would give them.
    let mut bytes = Vec::new();
    for link in links {
        let mut inside = Vec::new();
        tagged(&mut inside, 1, &link.cid.to_bytes());
        tagged(&mut inside, 2, link.name.unwrap().as_bytes());
        tagged(&mut bytes, 2, &inside);
    }
    tagged(&mut bytes, 1, &message.bytes());
    read_bytes(bytes)
}

fn tagged(bytes: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(bytes, field << 3 | 2);
    varint(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

fn read_bytes(bytes: Vec<u8>) -> Result<Node, UnixFsError> {
    let cid = cid::from_bytes(&Dag::default().block(bytes.clone()).to_bytes()).unwrap();
    read(&cid, &bytes.into())
}

fn refusal(read: Result<Node, UnixFsError>) -> String {
    read.err().map_or_else(|| "accepted".to_owned(), |error| error.to_string())
}

fn file(data: &[u8], size: u64, sizes: &[u64]) -> Message {
    Message { kind: 2, data: Some(data.to_vec()), size: Some(size), sizes: sizes.to_vec(), ..Message::default() }
}

#[test]
fn a_file_is_its_own_bytes_and_those_of_its_links() {
    for (message, links, expected) in [
        (file(b"abc", 3, &[]), 0, Ok((3, 0))),
        (file(b"", 30, &[10, 20]), 2, Ok((30, 2))),
        (file(b"ab", 32, &[10, 20]), 2, Ok((32, 2))),
        // The older kind of leaf, and a file that does not say its size.
        (Message { kind: 0, ..file(b"abc", 3, &[]) }, 0, Ok((3, 0))),
        (Message { size: None, ..file(b"abc", 0, &[10]) }, 1, Ok((13, 1))),
        (Message { kind: 2, ..Message::default() }, 0, Ok((0, 0))),
        (file(b"abc", 4, &[]), 0, Err("it has size 4")),
        (file(b"", 29, &[10, 20]), 2, Err("its size 29 is not the sum of its pieces, 30")),
        (file(b"", 31, &[10, 20]), 2, Err("its size 31 is not the sum of its pieces, 30")),
        (file(b"", 10, &[10]), 2, Err("its pieces have 1 sizes and 2 links")),
        (file(b"", 10, &[10]), 0, Err("its pieces have 1 sizes and 0 links")),
        (file(b"", 0, &[u64::MAX, 1]), 2, Err("more than 64 bits")),
        (Message { kind: 3, ..Message::default() }, 0, Err("UnixFS type 3")),
        (Message { kind: 4, data: Some(b"/etc/passwd".to_vec()), ..Message::default() }, 0, Err("symbolic link")),
        (Message { kind: 77, ..Message::default() }, 0, Err("UnixFS type 77")),
    ] {
        let links: Vec<_> = (0..links).map(|leaf| ("", leaf)).collect();
        match (read_node(&links, &message), expected) {
            (Ok(Node::File(piece)), Ok(expected)) => assert_eq!((piece.size, piece.links.len()), expected),
            (Err(error), Err(words)) => assert!(
                error.to_string().contains(words)
                    || words == "it has size 4" && matches!(error, UnixFsError::FileSize { claimed: 4, sum: 3 }),
                "{error}"
            ),
            (got, expected) => panic!("{message:?}: {got:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn a_piece_of_a_file_has_no_name() {
    assert_eq!(refusal(read_node(&[("", 0), ("x", 1)], &file(b"", 2, &[1, 1]))), "it is no UnixFS node: a piece of a file has a name");
}

#[test]
fn a_directory_has_only_names_that_are_file_names() {
    let directory = Message { kind: 1, ..Message::default() };
    for name in ["a", "image0.JPG", "with space", "ümlaut", "…", &"x".repeat(255), "a\\b", "%2f"] {
        let Ok(Node::Directory(links)) = read_node(&[(name, 0)], &directory) else { panic!("{name} was refused") };
        assert_eq!(links.get(0).unwrap().unwrap().name, name);
    }
    for name in ["", ".", "..", "a/b", "/", "../x", "nul\0", &"x".repeat(256), &"x".repeat(64 << 10)] {
        assert!(matches!(read_node(&[("a", 0), (name, 1)], &directory), Err(UnixFsError::Name(_))), "{name:?} was accepted");
    }
    assert_eq!(refusal(read_node(&[("a", 0), ("b", 1), ("a", 2)], &directory)), "two entries have the name \"a\"");
}

#[test]
fn a_shard_says_what_the_specification_allows() {
    let shard = |fanout, hash, field: &[u8]| Message {
        kind: 5,
        data: Some(field.to_vec()),
        hash: Some(hash),
        fanout: Some(fanout),
        ..Message::default()
    };
    let good = [("0", 0), ("3a", 1), ("Fb", 2)];
    let field = [0x80, 0x09];
    assert!(matches!(read_node(&good, &shard(16, 0x22, &field)), Ok(Node::Shard(_))));
    assert!(matches!(read_node(&good, &shard(16, 0x22, &[0, 0x80, 0x09])), Ok(Node::Shard(_))));
    for (links, message) in [
        (&good[..], shard(16, 0x12, &field)),
        (&good, Message { hash: None, ..shard(16, 0x22, &field) }),
        (&good, shard(1 << 20, 0x22, &field)),
        (&good, shard(2048, 0x22, &field)),
        (&good, shard(4, 0x22, &field)),
        (&good, shard(15, 0x22, &field)),
        (&good, shard(0, 0x22, &field)),
        (&good, Message { fanout: None, ..shard(16, 0x22, &field) }),
        (&good, shard(16, 0x22, &[0x80, 0x01])),
        (&good, shard(16, 0x22, &[0x80, 0x0b])),
        (&good, shard(16, 0x22, &[0x09])),
        (&good, shard(16, 0x22, &[])),
        (&[("3a", 0), ("0b", 1)], shard(16, 0x22, &[0x09])),
        (&[("0a", 0), ("0b", 1)], shard(16, 0x22, &[0x01])),
        (&[("fa", 0)], shard(16, 0x22, &[0x80, 0])),
        (&[("+1", 0)], shard(256, 0x22, &[0x02])),
        (&[("", 0)], shard(16, 0x22, &[0x01])),
        (&[("ü", 0)], shard(16, 0x22, &[0x01])),
        (&[("Gx", 0)], shard(16, 0x22, &[0x01])),
        (&[("10a", 0)], shard(8, 0x22, &[0x02])),
    ] {
        let read = read_node(links, &message);
        if links == [("10a", 0)] {
            // One digit is enough for eight slots: the name is `0a`.
            assert!(matches!(read, Ok(Node::Shard(_))));
        } else {
            assert!(matches!(read, Err(UnixFsError::Shard(_))), "{links:?} {message:?}: {read:?}");
        }
    }
    for name in ["0..", "0.", "0a/b"] {
        assert!(matches!(read_node(&[(name, 0)], &shard(16, 0x22, &[0x01])), Err(UnixFsError::Name(_))), "{name:?} was accepted");
    }
}

#[test]
fn blocks_that_are_no_dag_pb_are_refused() {
    let leaf = Dag::default().raw(b"x");
    let message = file(b"abc", 3, &[]).bytes();
    let mut two_datas = Vec::new();
    tagged(&mut two_datas, 1, &message);
    tagged(&mut two_datas, 1, &message);
    let mut unknown_field = Vec::new();
    tagged(&mut unknown_field, 3, b"x");
    let link = |fields: &[(u64, &[u8])]| {
        let (mut inside, mut bytes) = (Vec::new(), Vec::new());
        for (field, value) in fields {
            tagged(&mut inside, *field, value);
        }
        tagged(&mut bytes, 2, &inside);
        tagged(&mut bytes, 1, &message);
        bytes
    };
    let cid_bytes = leaf.to_bytes();
    let sha1 = [&[1, 0x55, 0x11, 20][..], &[7; 20]].concat();
    let long_cid = [&cid_bytes[..], b"x"].concat();
    for (name, bytes) in [
        ("data twice", two_datas),
        ("an unknown field", unknown_field),
        ("a link without a CID", link(&[(2, b"a")])),
        ("a link with two CIDs", link(&[(1, &cid_bytes), (1, &cid_bytes)])),
        ("a link with two names", link(&[(1, &cid_bytes), (2, b"a"), (2, b"b")])),
        ("a link to a sha1", link(&[(1, &sha1)])),
        ("a CID and more", link(&[(1, &long_cid)])),
        ("a name that is no UTF-8", link(&[(1, &cid_bytes), (2, &[0xff])])),
        ("no data", PbNode { links: vec![], data: None }.into_bytes()),
        ("a field that ends too late", vec![0x0a, 0x7f, 0x00]),
        ("a fixed64", vec![0x09, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a group", vec![0x0b]),
        ("field 0", vec![0x02, 0x00]),
        ("a long varint", vec![0xff; 12]),
        ("text", b"hello".to_vec()),
    ] {
        assert!(read_bytes(bytes.clone()).is_err(), "{name} was accepted");
    }
    assert!(read_bytes(link(&[(1, &cid_bytes)])).is_err_and(|error| matches!(error, UnixFsError::Sizes { sizes: 0, links: 1 })));
}

#[test]
fn packed_sizes_and_unknown_fields_of_a_message_are_read() {
    let mut message = Message { kind: 2, size: Some(300), ..Message::default() }.bytes();
    tagged(&mut message, 4, &[0x64, 0xc8, 0x01]);
    tagged(&mut message, 8, &[0x08, 0x01]);
    message.extend([7 << 3, 0xa4, 0x03]);
    let leaf = Dag::default().raw(b"x").to_bytes();
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let mut inside = Vec::new();
        tagged(&mut inside, 1, &leaf);
        tagged(&mut bytes, 2, &inside);
    }
    tagged(&mut bytes, 1, &message);
    let Ok(Node::File(piece)) = read_bytes(bytes) else { panic!("it was refused") };
    assert_eq!((piece.sizes, piece.size), (vec![100, 200], 300));
}

proptest! {
    #[test]
    fn any_block_is_read_or_refused(bytes in any::<Vec<u8>>(), message in any::<Vec<u8>>()) {
        let _ = read_bytes(bytes);
        let mut node = Vec::new();
        tagged(&mut node, 1, &message);
        let _ = read_bytes(node);
    }

    #[test]
    fn any_change_of_a_node_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut dag = Dag::default();
        let leaf = dag.raw(b"x");
        let root = dag.sharded(&[("a", leaf), ("b", leaf), ("c", leaf)], 8);
        let mut bytes = dag.blocks[&root].clone();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        let _ = read_bytes(bytes);
    }
}
