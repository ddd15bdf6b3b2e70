//! Checked blocks that were received: the latest in memory, small and early ones in a spool file. Asks nobody for any.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;

use super::cid::BlockKey;

/// Memory for the blocks used last: what repeats in a file mostly repeats at once (runs of zeros).
const RECENT_BYTES: usize = 16 << 20;
/// Memory that an entry of `recent` takes beside its bytes, about.
const ENTRY_BYTES: usize = 128;

/// Blocks by what names them.
#[derive(Debug)]
pub(super) struct Kept {
    recent: HashMap<BlockKey, Recent>,
    /// Oldest first.
    order: VecDeque<BlockKey>,
    recent_bytes: usize,
    /// A file without a name: gone with this.
    spool: File,
    places: HashMap<BlockKey, Place>,
    spooled_bytes: u64,
}

#[derive(Debug)]
struct Recent {
    data: Bytes,
    asked_again: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    length: u32,
}

// === impl Kept ===

impl Kept {
    /// Spools into a file in `directory`.
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            recent: HashMap::new(),
            order: VecDeque::new(),
            recent_bytes: 0,
            spool: tempfile::tempfile_in(directory)?,
            places: HashMap::new(),
            spooled_bytes: 0,
        })
    }

    pub(super) fn get(&mut self, key: &BlockKey) -> io::Result<Option<Bytes>> {
        if let Some(recent) = self.recent.get_mut(key) {
            recent.asked_again = true;
            return Ok(Some(recent.data.clone()));
        }
        let Some(Place { offset, length }) = self.places.get(key).copied() else { return Ok(None) };
        let mut data = vec![0; length as usize];
        self.spool.read_exact_at(&mut data, offset)?;
        Ok(Some(data.into()))
    }

    pub(super) fn is_spooled(&self, key: &BlockKey) -> bool {
        self.places.contains_key(key)
    }

    /// Blocks in the spool.
    pub(super) fn spooled(&self) -> usize {
        self.places.len()
    }

    /// Keeps a block until the end.
    pub(super) fn spool(&mut self, key: BlockKey, data: &Bytes) -> io::Result<()> {
        if self.is_spooled(&key) {
            return Ok(());
        }
        let place = Place { offset: self.spooled_bytes, length: u32::try_from(data.len()).map_err(io::Error::other)? };
        self.spool.write_all_at(data, place.offset)?;
        self.spooled_bytes += u64::from(place.length);
        self.places.insert(key, place);
        Ok(())
    }

    /// Keeps a block in memory until others that are asked for more often take its room.
    pub(super) fn remember(&mut self, key: BlockKey, data: Bytes) {
        let size = data.len() + ENTRY_BYTES;
        if self.recent.contains_key(&key) {
            return;
        }
        while self.recent_bytes + size > RECENT_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.pass(oldest);
        }
        self.recent_bytes += size;
        self.order.push_back(key);
        self.recent.insert(key, Recent { data, asked_again: false });
    }

    /// Drops the block, or gives it a second round when it was asked for since the last.
    fn pass(&mut self, key: BlockKey) {
        match self.recent.get_mut(&key) {
            Some(recent) if recent.asked_again => {
                recent.asked_again = false;
                self.order.push_back(key);
            }
            Some(recent) => {
                self.recent_bytes -= recent.data.len() + ENTRY_BYTES;
                self.recent.remove(&key);
            }
            None => {}
        }
    }
}
