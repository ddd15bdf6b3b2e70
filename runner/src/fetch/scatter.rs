//! Parts of one file that come in any order → a blob: each is written where it belongs as it comes, and hashed in order behind that.
//!
//! Memory holds only what is on its way to the disk, however far apart the parts are. What comes in order is hashed at once, the rest is read
//! back from the system's cache when its turn comes. Does not know where parts come from, nor whether they are the right ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use crds::digest::Digest;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::Progress;
use super::body::{Counted, Room, finish, no_blob, not_kept, thread_died};
use crate::failure::Failure;
use crate::store::{self, Blob, BlobWriter, Spool, Store};

/// Bytes that are read back and hashed at a time: few enough to be still in the processor's cache.
const PIECE: usize = 256 << 10;

/// Takes the parts of one file. Dropped unfinished, its threads run dry and the temporary file goes.
pub(super) struct Scatter<'a> {
    room: Room,
    to_write: mpsc::UnboundedSender<Part>,
    write: JoinHandle<Result<Spool, store::Error>>,
    hash: JoinHandle<io::Result<(u64, Sha256)>>,
    progress: Counted<'a>,
}

/// Bytes, where they belong, and the room that they take until they are written and perhaps hashed.
struct Part {
    offset: u64,
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Which bytes of a file are there: all below `hashed`, and what lies ahead of it.
#[derive(Debug, Default)]
struct Arrived {
    hashed: u64,
    /// First byte → the one after the last, not touching each other.
    ahead: BTreeMap<u64, u64>,
}

// === impl Scatter ===

impl<'a> Scatter<'a> {
    pub(super) fn start(store: &Store, progress: &'a Progress, what: &str) -> Result<Self, Failure> {
        let (mut spool, hasher) = store.writer().map_err(|e| not_kept(what, &e))?.into_halves();
        let reader = spool.reader();
        let (to_write, mut for_writing) = mpsc::unbounded_channel::<Part>();
        let (to_hash, for_hashing) = mpsc::unbounded_channel();
        let write = tokio::task::spawn_blocking(move || {
            while let Some(part) = for_writing.blocking_recv() {
                spool.write_at(&part.bytes, part.offset)?;
                if to_hash.send(part).is_err() {
                    break;
                }
            }
            Ok(spool)
        });
        let hash = tokio::task::spawn_blocking(move || hash_behind(&reader, for_hashing, hasher));
        Ok(Self { room: Room::new(), to_write, write, hash, progress: Counted::new(progress) })
    }

    /// Takes bytes that begin at `offset`. No byte may come twice. False when a thread has hung up, which `finish` explains.
    pub(super) async fn put(&self, offset: u64, bytes: Bytes) -> bool {
        self.progress.add(bytes.len() as u64);
        let room = self.room.take(&bytes).await;
        self.to_write.send(Part { offset, bytes, _room: room }).is_ok()
    }

    /// All `size_bytes` are here: they become a blob if they are what was expected.
    pub(super) async fn finish(self, size_bytes: u64, expected: Option<&Digest>, what: &str) -> Result<Blob, Failure> {
        let lost = |_| thread_died(what);
        drop(self.to_write);
        let spool = self.write.await.map_err(lost)?.map_err(|e| not_kept(what, &e))?;
        let (hashed_bytes, hasher) = self.hash.await.map_err(lost)?.map_err(|e| not_kept(what, &spool.unreadable(e)))?;
        if hashed_bytes != size_bytes {
            return Err(thread_died(what));
        }
        let expected = expected.copied();
        let kept = tokio::task::spawn_blocking(move || finish(BlobWriter::from_halves(spool, hasher), expected)).await.map_err(lost)?;
        let blob = kept.map_err(|error| no_blob(what, error))?;
        self.progress.keep();
        Ok(blob)
    }
}

/// Hashes what has been written, from the first byte on, as far as nothing is missing.
fn hash_behind(file: &File, mut written: mpsc::UnboundedReceiver<Part>, mut hasher: Sha256) -> io::Result<(u64, Sha256)> {
    let mut arrived = Arrived::default();
    let mut piece = vec![0; PIECE];
    while let Some(part) = written.blocking_recv() {
        arrived.add(part.offset, part.bytes.len() as u64);
        if part.offset == arrived.hashed {
            hasher.update(&part.bytes);
            arrived.take(part.bytes.len());
        }
        drop(part);
        while let Some(length) = arrived.take(PIECE) {
            file.read_exact_at(&mut piece[..length], arrived.hashed - length as u64)?;
            hasher.update(&piece[..length]);
        }
    }
    Ok((arrived.hashed, hasher))
}

// === impl Arrived ===

impl Arrived {
    fn add(&mut self, offset: u64, length: u64) {
        let end = self.ahead.remove(&(offset + length)).unwrap_or(offset + length);
        match self.ahead.range_mut(..offset).next_back() {
            Some((_, before)) if *before == offset => *before = end,
            _ => {
                self.ahead.insert(offset, end);
            }
        }
    }

    /// Counts the next bytes as hashed, `most` of them or as many as there are.
    fn take(&mut self, most: usize) -> Option<usize> {
        let end = self.ahead.remove(&self.hashed)?;
        let length = usize::try_from(end - self.hashed).unwrap_or(most).min(most);
        self.hashed += length as u64;
        if self.hashed < end {
            self.ahead.insert(self.hashed, end);
        }
        Some(length)
    }
}

#[cfg(test)]
mod tests;
