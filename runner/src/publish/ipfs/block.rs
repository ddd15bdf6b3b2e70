//! Values → dag-pb blocks with UnixFS in them, byte for byte as kubo writes them. Reads nothing, sends nothing.

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest as _};

/// Multicodecs of the two kinds of block.
const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;

/// UnixFS types.
const DIRECTORY: u64 = 1;
const FILE: u64 = 2;
const SHARD: u64 = 5;
/// Multicodec of the hash function of sharded directories, murmur3-x64-64.
const MURMUR3: u64 = 0x22;

/// A block and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) cid: Cid,
    pub(super) bytes: Vec<u8>,
}

/// A block as its parent links to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) cid: Cid,
    /// Bytes of all blocks below, itself included.
    pub(super) total_bytes: u64,
}

/// A piece of a file that can be linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) link: Link,
    /// Bytes of the file in it.
    pub(super) file_bytes: u64,
}

/// Bytes of a file as they are.
pub(super) fn leaf(bytes: Vec<u8>) -> (Block, Piece) {
    let size = bytes.len() as u64;
    let cid = Cid::new_v1(RAW, Code::Sha2_256.digest(&bytes));
    (Block { cid, bytes }, Piece { link: Link { name: String::new(), cid, total_bytes: size }, file_bytes: size })
}

/// A node of a file with these pieces.
pub(super) fn file(pieces: &[Piece]) -> (Block, Piece) {
    let file_bytes = pieces.iter().map(|piece| piece.file_bytes).sum();
    let mut data = Vec::new();
    number(&mut data, 1, FILE);
    number(&mut data, 3, file_bytes);
    for piece in pieces {
        number(&mut data, 4, piece.file_bytes);
    }
    let links: Vec<&Link> = pieces.iter().map(|piece| &piece.link).collect();
    let (block, link) = node(&links, &data);
    (block, Piece { link, file_bytes })
}

/// A directory with these entries, in the order of their names.
pub(super) fn directory(entries: &[&Link]) -> (Block, Link) {
    let mut data = Vec::new();
    number(&mut data, 1, DIRECTORY);
    node(entries, &data)
}

/// A shard of a directory: links in the order of their slots, named by them; `bitfield` has a bit set for each slot, the highest first.
pub(super) fn shard(links: &[&Link], bitfield: &[u8], fanout: u64) -> (Block, Link) {
    let mut data = Vec::new();
    number(&mut data, 1, SHARD);
    let significant = bitfield.iter().position(|byte| *byte != 0).unwrap_or(bitfield.len());
    text(&mut data, 2, &bitfield[significant..]);
    number(&mut data, 5, MURMUR3);
    number(&mut data, 6, fanout);
    node(links, &data)
}

/// A dag-pb node; its links come before its data, which is the order that hashes depend on.
fn node(links: &[&Link], data: &[u8]) -> (Block, Link) {
    let mut bytes = Vec::new();
    for link in links {
        let mut message = Vec::new();
        text(&mut message, 1, &link.cid.to_bytes());
        text(&mut message, 2, link.name.as_bytes());
        number(&mut message, 3, link.total_bytes);
        text(&mut bytes, 2, &message);
    }
    text(&mut bytes, 1, data);
    let cid = Cid::new_v1(DAG_PB, Code::Sha2_256.digest(&bytes));
    let total_bytes = links.iter().map(|link| link.total_bytes).sum::<u64>() + bytes.len() as u64;
    (Block { cid, bytes }, Link { name: String::new(), cid, total_bytes })
}

/// A protobuf field that is a number.
fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

/// A protobuf field that is bytes.
fn text(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// An unsigned LEB128.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
