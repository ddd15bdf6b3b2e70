use ::cid::multihash::Multihash;
use proptest::prelude::*;

use super::super::fixtures::{Dag, header, section, varint};
use super::*;

/// All blocks of a stream that comes in pieces of `size` bytes, and how it ended.
fn parse(car: &[u8], size: usize) -> (Vec<Block>, Result<(), CarError>) {
    let mut parser = CarParser::default();
    let mut blocks = Vec::new();
    for piece in car.chunks(size) {
        parser.push(piece);
        loop {
            match parser.next_block() {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => break,
                Err(error) => return (blocks, Err(error)),
            }
        }
    }
    let end = parser.finish();
    (blocks, end)
}

fn example() -> (Dag, ::cid::Cid) {
    let mut dag = Dag::default();
    let leaves: Vec<_> = (0..4_u8).map(|n| dag.raw(&[n; 40])).collect();
    let names = ["a", "b", "c", "d"];
    let entries: Vec<_> = names.into_iter().zip(leaves).collect();
    let root = dag.directory(&entries);
    (dag, root)
}

fn expected(dag: &Dag, order: &[::cid::Cid]) -> Vec<Block> {
    let block = |cid: &::cid::Cid| Block { cid: cid::from_bytes(&cid.to_bytes()).unwrap(), data: dag.blocks[cid].clone().into() };
    order.iter().map(block).collect()
}

#[test]
fn a_stream_gives_the_same_blocks_however_it_is_cut() {
    let (dag, root) = example();
    let (car, order) = (dag.whole_car(root), dag.order(root));
    for size in 1..=car.len() {
        assert_eq!(parse(&car, size), (expected(&dag, &order), Ok(())), "pieces of {size}");
    }
}

#[test]
fn a_stream_written_by_another_implementation_is_read() {
    let (dag, root) = example();
    let order = dag.order(root);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let car = runtime.block_on(async {
        let mut writer = iroh_car::CarWriter::new(iroh_car::CarHeader::new_v1(vec![root]), Vec::new());
        for cid in &order {
            writer.write(*cid, &dag.blocks[cid]).await.unwrap();
        }
        writer.finish().await.unwrap()
    });
    assert_eq!(parse(&car, 100), (expected(&dag, &order), Ok(())));
}

#[test]
fn a_stream_cut_short_at_any_byte_gives_the_blocks_before_it() {
    let (dag, root) = example();
    let (car, order) = (dag.whole_car(root), dag.order(root));
    let mut clean_ends = 0;
    for length in 0..car.len() {
        let (blocks, end) = parse(&car[..length], 64);
        assert_eq!(blocks, expected(&dag, &order[..blocks.len()]));
        assert!(blocks.len() < order.len());
        match end {
            Ok(()) => clean_ends += 1,
            Err(error) => assert!(matches!(error, CarError::Truncated { .. }), "{error}"),
        }
    }
    // After the header and after each block but the last: what only a walk can notice.
    assert_eq!(clean_ends, order.len());
}

#[test]
fn every_block_with_a_flipped_bit_is_refused() {
    let (dag, root) = example();
    let mut car = dag.whole_car(root);
    let start = header(&[root]).len();
    for bit in start * 8..car.len() * 8 {
        car[bit / 8] ^= 1 << (bit % 8);
        let (blocks, end) = parse(&car, 64);
        assert!(end.is_err() || blocks.len() < dag.blocks.len(), "bit {bit} went unnoticed");
        assert!(blocks.iter().all(|block| cid::names(&block.cid, &block.data)));
        car[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn hostile_streams_are_refused_without_taking_memory() {
    let (dag, root) = example();
    let header = header(&[root]);
    let after_header = |length: u64| {
        let mut car = header.clone();
        varint(&mut car, length);
        car
    };
    let at = header.len() as u64;
    let of_version = |version: u8| [&[10, 0xa1, 0x67][..], b"version", &[version]].concat();
    let long_varint = [&header[..], &[0xff; 10]].concat();
    let wide_varint = [&header[..], &[0xff; 9], &[0x02]].concat();
    for (name, car, error) in [
        ("a section of 1 GiB", after_header(1 << 30), CarError::Long { at, length: 1 << 30 }),
        ("a section of 3 MiB", after_header(3 << 20), CarError::Long { at, length: 3 << 20 }),
        ("the longest section there is", after_header(u64::MAX), CarError::Long { at, length: u64::MAX }),
        ("an empty section", after_header(0), CarError::Empty { at }),
        ("a varint without an end", long_varint, CarError::Varint { at }),
        ("a varint of 65 bits", wide_varint, CarError::Varint { at }),
        ("the pragma of CARv2", of_version(2), CarError::Version(2)),
    ] {
        assert_eq!(parse(&car, 64), (vec![], Err(error)), "{name}");
    }
    let mut million_roots = Vec::new();
    varint(&mut million_roots, 40 << 20);
    let mut deep = Vec::new();
    varint(&mut deep, 60_000);
    deep.extend(vec![0x81; 60_000]);
    for (name, car) in [
        ("a page", b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>bad gateway</body></html>".to_vec()),
        ("a million roots", million_roots),
        ("nested arrays", deep),
        ("gzip", vec![0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ] {
        let (blocks, end) = parse(&car, 64);
        assert!(blocks.is_empty() && matches!(end, Err(CarError::Header(_))), "{name}: {end:?}");
    }
    let mut parser = CarParser::default();
    parser.push(&after_header(2 << 20));
    assert_eq!(parser.next_block(), Ok(None));
    assert!(parser.buffer.capacity() < 4096, "a claimed length was allocated");
    drop(dag);
}

#[test]
fn roots_are_not_looked_at() {
    let (dag, root) = example();
    let other = *dag.blocks.keys().find(|cid| **cid != root).unwrap();
    let no_roots = [&[0x11, 0xa2, 0x65][..], b"roots", &[0x80, 0x67], b"version", &[1]].concat();
    for header in [header(&[other]), header(&vec![root; 300]), no_roots] {
        let mut car = header;
        section(&mut car, &root.to_bytes(), &dag.blocks[&root]);
        assert_eq!(parse(&car, 64), (expected(&dag, &[root]), Ok(())));
    }
}

#[test]
fn blocks_that_cannot_be_checked_are_passed_over() {
    let (dag, root) = example();
    let mut car = header(&[root]);
    let sha1 = ::cid::Cid::new_v1(0x55, Multihash::wrap(0x11, &[7; 20]).unwrap());
    section(&mut car, &sha1.to_bytes(), b"whatever");
    section(&mut car, &root.to_bytes(), &dag.blocks[&root]);
    assert_eq!(parse(&car, 64), (expected(&dag, &[root]), Ok(())));
}

proptest! {
    #[test]
    fn any_bytes_are_a_stream_or_refused(bytes in any::<Vec<u8>>(), size in 1_usize..50) {
        let _ = parse(&bytes, size);
        let mut car = header(&[example().1]);
        car.extend_from_slice(&bytes);
        let (blocks, _) = parse(&car, size);
        prop_assert!(blocks.iter().all(|block| cid::names(&block.cid, &block.data)));
    }
}
