//! A checked block → a UnixFS node: a piece of a file, a directory, a shard of one. Follows no link.
//!
//! dag-pb and UnixFS as their specifications have them. Where those leave a choice, the strict one: whatever two readers could see
//! differently is refused. Links are checked here and decoded again when they are followed, so that a node with many of them holds
//! its block and little more.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::cid::{self, Cid};
use super::wire::{Fields, Value, WireError};

/// Longest name of a directory entry, in bytes: what the file systems below us take.
const MAX_NAME_BYTES: usize = 255;
/// Widest shard of a directory: 1024 by the specification.
const MAX_FANOUT: u64 = 1024;
/// The one hash function of sharded directories, murmur3-x64-64.
const MURMUR3: u64 = 0x22;

/// Why a block is no node that we read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum UnixFsError {
    #[error("it is no dag-pb node: {0}")]
    Wire(#[from] WireError),
    #[error("it is no dag-pb node: {0}")]
    DagPb(&'static str),
    #[error("it links to a CID that is not accepted: {0}")]
    Link(#[from] cid::Refusal),
    #[error("it is no UnixFS node: {0}")]
    UnixFs(&'static str),
    #[error("it is a symbolic link, which inputs may not have: add the data with links resolved")]
    Symlink,
    #[error("it has UnixFS type {0}, which is not supported")]
    Type(u64),
    #[error("its pieces have {sizes} sizes and {links} links")]
    Sizes { sizes: usize, links: usize },
    #[error("its size {claimed} is not the sum of its pieces, {sum}")]
    FileSize { claimed: u64, sum: u64 },
    #[error("the name {0:?} cannot be a file name here")]
    Name(String),
    #[error("two entries have the name {0:?}")]
    Duplicate(String),
    #[error("it is a directory shard with {0}")]
    Shard(&'static str),
}

/// What one block is.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Piece),
    Directory(Links),
    Shard(Shard),
}

/// A file, or a part of one: its own bytes, then those of the pieces that it links to.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) data: Bytes,
    pub(super) links: Links,
    /// Bytes below each link.
    pub(super) sizes: Vec<u64>,
    /// Bytes in all: `data` and `sizes` together, as was checked.
    pub(super) size: u64,
}

/// One level of a directory that is spread by the hash of its names.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    pub(super) links: Links,
    /// The slot of each link, rising.
    pub(super) slots: Vec<u16>,
    /// Bits of the hash that choose a slot.
    pub(super) bits: u32,
    /// Hex digits in front of each name.
    pub(super) prefix: usize,
}

/// The links of a block, in its order, all of them checked.
#[derive(Clone, Debug)]
pub(super) struct Links {
    block: Bytes,
    places: Vec<Range<u32>>,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) cid: Cid,
    pub(super) name: String,
}

/// The UnixFS message inside a dag-pb node.
#[derive(Default)]
struct Message {
    kind: Option<u64>,
    data: Option<Range<usize>>,
    size: Option<u64>,
    sizes: Vec<u64>,
    hash: Option<u64>,
    fanout: Option<u64>,
}

/// Reads the block that `cid` names.
pub(super) fn read(cid: &Cid, block: &Bytes) -> Result<Node, UnixFsError> {
    if cid.codec() == cid::RAW {
        return Ok(Node::File(Piece::leaf(block.clone())));
    }
    let (links, data) = read_dag_pb(block)?;
    let data = data.ok_or(UnixFsError::UnixFs("it has no data"))?;
    let message = Message::read(&data)?;
    let bytes = message.data.clone().map_or_else(Bytes::new, |place| data.slice(place));
    match message.kind.ok_or(UnixFsError::UnixFs("it has no type"))? {
        // A leaf of the older kind, and a file.
        0 | 2 => Piece::new(bytes, links, &message).map(Node::File),
        1 => directory(links).map(Node::Directory),
        4 => Err(UnixFsError::Symlink),
        5 => Shard::new(&bytes, links, &message).map(Node::Shard),
        other => Err(UnixFsError::Type(other)),
    }
}

/// Whether `name` may be an entry of a directory on this machine.
pub(super) fn check_name(name: &str) -> Result<(), UnixFsError> {
    let bad = name.is_empty() || name == "." || name == ".." || name.len() > MAX_NAME_BYTES || name.contains(['/', '\0']);
    if bad { Err(UnixFsError::Name(name.chars().take(80).collect())) } else { Ok(()) }
}

fn read_dag_pb(block: &Bytes) -> Result<(Links, Option<Bytes>), UnixFsError> {
    let mut data = None;
    let mut places = Vec::new();
    for field in Fields::new(block) {
        match field? {
            (1, Value::Bytes(place)) if data.is_none() => data = Some(block.slice(place)),
            (2, Value::Bytes(place)) => {
                read_link(&block[place.clone()])?;
                places.push(narrow(place)?);
            }
            (1, Value::Bytes(_)) => return Err(UnixFsError::DagPb("it has two data fields")),
            _ => return Err(UnixFsError::DagPb("it has a field that dag-pb does not have")),
        }
    }
    Ok((Links { block: block.clone(), places }, data))
}

fn narrow(place: Range<usize>) -> Result<Range<u32>, UnixFsError> {
    let narrow = |at| u32::try_from(at).map_err(|_| UnixFsError::DagPb("it is larger than a block"));
    Ok(narrow(place.start)?..narrow(place.end)?)
}

fn read_link(bytes: &[u8]) -> Result<Link, UnixFsError> {
    let (mut hash, mut name, mut size) = (None, None, None);
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Bytes(place)) if hash.is_none() => hash = Some(cid::from_bytes(&bytes[place])?),
            (2, Value::Bytes(place)) if name.is_none() => name = Some(&bytes[place]),
            (3, Value::Varint(value)) if size.is_none() => size = Some(value),
            _ => return Err(UnixFsError::DagPb("a link has a field twice, or one that dag-pb does not have")),
        }
    }
    let name = name.unwrap_or_default();
    let text = std::str::from_utf8(name).map_err(|_| UnixFsError::Name(String::from_utf8_lossy(name).chars().take(80).collect()))?;
    Ok(Link { cid: hash.ok_or(UnixFsError::DagPb("a link names no CID"))?, name: text.to_owned() })
}

fn directory(links: Links) -> Result<Links, UnixFsError> {
    let mut names = HashSet::with_capacity(links.len());
    for link in links.iter() {
        let name = link?.name;
        check_name(&name)?;
        if let Some(twice) = names.replace(name) {
            return Err(UnixFsError::Duplicate(twice));
        }
    }
    Ok(links)
}

// === impl Links ===

impl Links {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<Result<Link, UnixFsError>> {
        let place = self.places.get(index)?;
        Some(read_link(&self.block[place.start as usize..place.end as usize]))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Result<Link, UnixFsError>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Bytes of memory that keeping the links takes, about.
    pub(super) fn held_bytes(&self) -> usize {
        self.block.len() + self.places.len() * size_of::<Range<u32>>()
    }
}

// === impl Piece ===

impl Piece {
    fn leaf(data: Bytes) -> Self {
        let size = data.len() as u64;
        Self { data, links: Links { block: Bytes::new(), places: Vec::new() }, sizes: Vec::new(), size }
    }

    fn new(data: Bytes, links: Links, message: &Message) -> Result<Self, UnixFsError> {
        let sizes = message.sizes.clone();
        if sizes.len() != links.len() {
            return Err(UnixFsError::Sizes { sizes: sizes.len(), links: links.len() });
        }
        if links.iter().any(|link| link.is_ok_and(|link| !link.name.is_empty())) {
            return Err(UnixFsError::UnixFs("a piece of a file has a name"));
        }
        let sum = sizes
            .iter()
            .try_fold(data.len() as u64, |sum, size| sum.checked_add(*size))
            .ok_or(UnixFsError::UnixFs("its size has more than 64 bits"))?;
        match message.size {
            Some(claimed) if claimed != sum => Err(UnixFsError::FileSize { claimed, sum }),
            _ => Ok(Self { data, links, sizes, size: sum }),
        }
    }
}

// === impl Shard ===

impl Shard {
    fn new(bitfield: &[u8], links: Links, message: &Message) -> Result<Self, UnixFsError> {
        if message.hash != Some(MURMUR3) {
            return Err(UnixFsError::Shard("another hash function than murmur3-x64-64"));
        }
        let fanout = message.fanout.filter(|fanout| (8..=MAX_FANOUT).contains(fanout) && fanout.is_power_of_two());
        let fanout = fanout.ok_or(UnixFsError::Shard("a fan-out that is no power of two from 8 to 1024"))?;
        let prefix = format!("{:X}", fanout - 1).len();
        let slots = links.iter().map(|link| read_slot(&link?.name, prefix, fanout)).collect::<Result<Vec<_>, _>>()?;
        let rising = slots.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising {
            return Err(UnixFsError::Shard("entries out of order, or two in one slot"));
        }
        if !is_bitfield(bitfield, &slots) {
            return Err(UnixFsError::Shard("a bit field that does not match its links"));
        }
        Ok(Self { links, slots, bits: fanout.trailing_zeros(), prefix })
    }
}

/// The slot that a link's name begins with; what follows must be a file name, or nothing for a shard below.
fn read_slot(name: &str, prefix: usize, fanout: u64) -> Result<u16, UnixFsError> {
    let digits = name.get(..prefix).ok_or(UnixFsError::Shard("a name without its slot"))?;
    let is_digit = |c: u8| c.is_ascii_digit() || (b'A'..=b'F').contains(&c);
    let slot = u16::from_str_radix(digits, 16).ok().filter(|slot| u64::from(*slot) < fanout && digits.bytes().all(is_digit));
    if name.len() > prefix {
        check_name(&name[prefix..])?;
    }
    slot.ok_or(UnixFsError::Shard("a name with a slot that is none"))
}

/// Whether the big-endian number in `bytes` has exactly the bits of `slots` set.
fn is_bitfield(bytes: &[u8], slots: &[u16]) -> bool {
    let set: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
    let has = |slot: u16| {
        let from_end = usize::from(slot / 8) + 1;
        bytes.len().checked_sub(from_end).is_some_and(|at| bytes[at] >> (slot % 8) & 1 == 1)
    };
    set as usize == slots.len() && slots.iter().all(|slot| has(*slot))
}

// === impl Message ===

impl Message {
    fn read(bytes: &[u8]) -> Result<Self, UnixFsError> {
        let mut message = Self::default();
        for field in Fields::new(bytes) {
            let twice = match field? {
                (1, Value::Varint(value)) => message.kind.replace(value).is_some(),
                (2, Value::Bytes(place)) => message.data.replace(place).is_some(),
                (3, Value::Varint(value)) => message.size.replace(value).is_some(),
                (4, Value::Varint(value)) => {
                    message.sizes.push(value);
                    false
                }
                (4, Value::Bytes(place)) => {
                    let mut packed = Fields::new(&bytes[place]);
                    while !packed.is_empty() {
                        message.sizes.push(packed.varint()?);
                    }
                    false
                }
                (5, Value::Varint(value)) => message.hash.replace(value).is_some(),
                (6, Value::Varint(value)) => message.fanout.replace(value).is_some(),
                (1..=6, _) => return Err(UnixFsError::UnixFs("a field has the wrong type")),
                // Mode, modification time and whatever comes later: not ours to keep.
                _ => false,
            };
            if twice {
                return Err(UnixFsError::UnixFs("a field is there twice"));
            }
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests;
