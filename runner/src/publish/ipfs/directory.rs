//! Links by path → the blocks of the directories above them.
//!
//! As `ipfs add --cid-version=1` makes directories: one block with the entries by name, or from 256 KiB of names and CIDs on a tree of
//! shards, each entry in the slot that the hash of its name leads to (murmur3-x64-64, eight bits a level).

use std::collections::BTreeMap;

use super::block::{self, Block, Link};

/// Bytes of names and CIDs from which a directory is spread over shards.
const SPREAD_FROM: usize = 256 << 10;
/// Slots of a shard, and the bits of the hash that choose one.
const FANOUT: usize = 256;
const BITS: u32 = 8;

/// A directory while it is gathered.
#[derive(Debug, Default)]
struct Gathered {
    directories: BTreeMap<String, Gathered>,
    files: Vec<Link>,
}

/// Two names with the same hash: no tree of shards tells them apart.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the names {0:?} and {1:?} have the same hash, so that no IPFS directory of this size can hold both")]
pub(super) struct SameHash(String, String);

/// The directory that holds these files, by path; every block of it goes to `blocks`, children before their parents.
pub(super) fn tree(files: impl Iterator<Item = (String, Link)>, blocks: &mut Vec<Block>) -> Result<Link, SameHash> {
    let mut root = Gathered::default();
    for (path, link) in files {
        let mut steps = path.split('/');
        let name = steps.next_back().unwrap_or_default().to_owned();
        let parent = steps.fold(&mut root, |parent, step| parent.directories.entry(step.to_owned()).or_default());
        parent.files.push(Link { name, ..link });
    }
    root.link(blocks)
}

impl Gathered {
    /// As deep as the paths, which were counted.
    fn link(self, blocks: &mut Vec<Block>) -> Result<Link, SameHash> {
        let mut entries = self.files;
        for (name, below) in self.directories {
            entries.push(Link { name, ..below.link(blocks)? });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let size: usize = entries.iter().map(|entry| entry.name.len() + entry.cid.encoded_len()).sum();
        if size >= SPREAD_FROM {
            let entries: Vec<_> = entries.iter().map(|entry| (hash(&entry.name), entry)).collect();
            return shard(&entries, 0, blocks);
        }
        let (block, link) = block::directory(&entries.iter().collect::<Vec<_>>());
        blocks.push(block);
        Ok(link)
    }
}

/// The shard of these entries, whose hashes are the same in their first `used` bits.
fn shard(entries: &[(u64, &Link)], used: u32, blocks: &mut Vec<Block>) -> Result<Link, SameHash> {
    if let (true, [(_, a), (_, b), ..]) = (used >= u64::BITS, entries) {
        return Err(SameHash(a.name.clone(), b.name.clone()));
    }
    let mut slots: BTreeMap<usize, Vec<(u64, &Link)>> = BTreeMap::new();
    for (hash, entry) in entries {
        let slot = hash << used >> (u64::BITS - BITS);
        slots.entry(usize::try_from(slot).expect("it has eight bits")).or_default().push((*hash, entry));
    }
    let mut bitfield = [0_u8; FANOUT / 8];
    let mut links = Vec::with_capacity(slots.len());
    for (slot, inside) in slots {
        bitfield[FANOUT / 8 - 1 - slot / 8] |= 1 << (slot % 8);
        links.push(match inside[..] {
            [(_, entry)] => Link { name: format!("{slot:02X}{}", entry.name), ..entry.clone() },
            _ => Link { name: format!("{slot:02X}"), ..shard(&inside, used + BITS, blocks)? },
        });
    }
    let (block, link) = block::shard(&links.iter().collect::<Vec<_>>(), &bitfield, FANOUT as u64);
    blocks.push(block);
    Ok(link)
}

/// The first half of the 128 bits, as multicodec's murmur3-x64-64 is defined.
fn hash(name: &str) -> u64 {
    let wide = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).expect("reading from memory does not fail");
    u64::try_from(wide & u128::from(u64::MAX)).expect("it was masked to 64 bits")
}
