//! Content-addressed files of this machine: written to a temporary name, verified, then visible; shared by every run.
//!
//! Knows no source and no network, and interprets no bytes. One directory may be used by several processes at once:
//!
//! ```text
//! blobs/<hex>            verified bytes, read-only, named by their SHA-256
//! notes/<hex of key>     small facts that save a look-up (a CID's listing); lost without harm
//! locks/<hex of key>     one download at a time across processes
//! live/<process>/        temporary files, and a hard link for every blob this process has pinned; swept when its owner is gone
//! usage                  bytes in blobs and notes; its lock is the store's lock
//! ```
//!
//! A pin is a hard link, so evicting a blob can never take it from whoever uses it, whatever the order of events. Nothing is synced to
//! disk: this is a cache. What was written before the last boot may have been torn by a power cut, so it is hashed again when it is
//! first used after that boot.

mod eviction;
mod flight;
mod notes;
mod writer;

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::digest::Digest;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use sha2::{Digest as _, Sha256};

use self::flight::Flights;
pub(crate) use self::writer::Spool;
pub use self::writer::{BlobWriter, FinishError};

/// A directory of verified files. Cheap to clone; its calls block for as long as the file system does.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// Verified bytes in a store, read-only. Not evicted while this or a clone of it lives.
#[derive(Clone, Debug)]
pub struct Blob {
    digest: Digest,
    size_bytes: u64,
    pin: Arc<Pin>,
}

/// The store's directory could not be used.
#[derive(Debug, thiserror::Error)]
#[error("store: cannot {operation} {}", path.display())]
pub struct Error {
    operation: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    capacity_bytes: u64,
    /// This process's directory under `live/`; the lock on `alive` says that it is in use.
    live: PathBuf,
    _alive: File,
    usage: Mutex<File>,
    /// How many `Pin`s each linked digest has.
    pins: Mutex<HashMap<Digest, usize>>,
    flights: Flights,
    serial: AtomicU64,
}

#[derive(Debug)]
struct Pin {
    digest: Digest,
    path: PathBuf,
    shared: Arc<Shared>,
}

// === impl Store ===

impl Store {
    /// Opens the store in `directory`, making it (mode 0700) when it is not there, and sweeps what dead processes left.
    ///
    /// `capacity_bytes` bounds what is kept; what is pinned stays even where it exceeds that.
    pub fn open(directory: &Path, capacity_bytes: u64) -> Result<Self, Error> {
        for made in [directory, &directory.join("blobs"), &directory.join("notes"), &directory.join("locks"), &directory.join("live")] {
            DirBuilder::new().recursive(true).mode(0o700).create(made).map_err(|e| Error::new("create", made, e))?;
        }
        let usage_path = directory.join("usage");
        let usage = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&usage_path)
            .map_err(|e| Error::new("open", &usage_path, e))?;
        let locked = Locked::new(&usage, &usage_path)?;
        sweep_live(&directory.join("live"));
        let (live, alive) = create_live(&directory.join("live"))?;
        drop(locked);
        Ok(Self {
            shared: Arc::new(Shared {
                directory: directory.to_owned(),
                capacity_bytes,
                live,
                _alive: alive,
                usage: Mutex::new(usage),
                pins: Mutex::default(),
                flights: Flights::default(),
                serial: AtomicU64::new(0),
            }),
        })
    }

    /// The bytes with this digest, pinned and marked as used now; `None` when they are not here or turn out to be damaged.
    pub fn get(&self, digest: &Digest) -> Option<Blob> {
        let pin = self.shared.pin(digest).ok()?;
        let metadata = fs::metadata(&pin.path).ok()?;
        let blob = Blob { digest: *digest, size_bytes: metadata.len(), pin: Arc::new(pin) };
        if written_before_boot(metadata.mtime()) || (metadata.len() == 0) != (*digest == digest_of(b"")) {
            self.rehash(&blob).ok().filter(|same| *same)?;
        }
        touch(blob.path());
        Some(blob)
    }

    /// Whether the bytes named by `digest` are here and hash to it; they are removed when they do not.
    pub fn verify(&self, digest: &Digest) -> Result<bool, Error> {
        match self.shared.pin(digest) {
            Ok(pin) => self.rehash(&Blob { digest: *digest, size_bytes: 0, pin: Arc::new(pin) }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::new("open", &self.shared.blob_path(digest), e)),
        }
    }

    /// A place for new bytes.
    pub fn writer(&self) -> Result<BlobWriter, Error> {
        BlobWriter::create(&self.shared)
    }

    /// Runs `work` alone among all callers with this key, in this process and others. Whoever had to wait should look in the store
    /// again, first thing in `work`. Where the lock file cannot be had, only this process is kept in order.
    pub async fn once<T, F: Future<Output = T>>(&self, key: &str, work: F) -> T {
        let _turn = self.shared.flights.turn(&self.shared.directory.join("locks"), key).await;
        work.await
    }

    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// What `set_note` kept under this key, unless it was evicted or damaged.
    pub fn note(&self, key: &str) -> Option<Vec<u8>> {
        notes::read(&self.note_path(key))
    }

    /// Keeps a small value under a key, replacing the earlier one. Whoever reads it must not trust it more than a hint: the bytes that it
    /// names are identified by their digests.
    pub fn set_note(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        let path = self.note_path(key);
        let added = notes::write(&self.shared.temporary(), &path, value)?;
        self.shared.account(added)
    }

    fn note_path(&self, key: &str) -> PathBuf {
        self.shared.directory.join("notes").join(digest_of(key.as_bytes()).hex())
    }

    fn rehash(&self, blob: &Blob) -> Result<bool, Error> {
        let failed = |e| Error::new("read", blob.path(), e);
        let mut hasher = Sha256::new();
        io::copy(&mut blob.open().map_err(failed)?, &mut hasher).map_err(failed)?;
        let same = hasher.finalize().as_slice() == blob.digest.as_bytes();
        if same {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let _ = set_times(blob.path(), Timestamps { last_access: now, last_modification: now });
        } else {
            let _ = fs::remove_file(self.shared.blob_path(&blob.digest));
        }
        Ok(same)
    }
}

// === impl Blob ===

impl Blob {
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Where the bytes are for as long as this lives; a hard link to it keeps them longer. Mode 0444.
    pub fn path(&self) -> &Path {
        &self.pin.path
    }

    pub fn open(&self) -> io::Result<File> {
        File::open(&self.pin.path)
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Blob {}

// === impl Error ===

impl Error {
    fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self { operation, path: path.to_owned(), source }
    }

    /// The disk has no room left.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

// === impl Shared ===

impl Shared {
    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join("blobs").join(digest.hex())
    }

    /// A name that nobody else uses, in this process's own directory.
    fn temporary(&self) -> PathBuf {
        self.live.join(format!("new-{}", self.serial.fetch_add(1, Ordering::Relaxed)))
    }

    fn pin(self: &Arc<Self>, digest: &Digest) -> io::Result<Pin> {
        let path = self.live.join(digest.hex());
        let mut pins = unpoisoned(&self.pins);
        let count = pins.get(digest).copied().unwrap_or(0);
        if count == 0 {
            fs::hard_link(self.blob_path(digest), &path)?;
        }
        pins.insert(*digest, count + 1);
        drop(pins);
        Ok(Pin { digest: *digest, path, shared: Arc::clone(self) })
    }

    /// Gives the file at `temporary`, whose bytes hash to `digest`, its final name, pinned.
    fn admit(self: &Arc<Self>, temporary: &Path, digest: &Digest) -> io::Result<Pin> {
        let path = self.live.join(digest.hex());
        let second = self.temporary();
        let mut pins = unpoisoned(&self.pins);
        fs::hard_link(temporary, &second)?;
        fs::rename(temporary, &path)?;
        *pins.entry(*digest).or_insert(0) += 1;
        drop(pins);
        let pin = Pin { digest: *digest, path, shared: Arc::clone(self) };
        fs::rename(&second, self.blob_path(digest))?;
        Ok(pin)
    }

    /// Counts `added` bytes, and evicts when the store has outgrown its capacity.
    fn account(&self, added: u64) -> Result<(), Error> {
        let usage = unpoisoned(&self.usage);
        let path = self.directory.join("usage");
        let _locked = Locked::new(&usage, &path)?;
        let total = match eviction::read_usage(&usage) {
            Some(known) if known.saturating_add(added) <= self.capacity_bytes => known + added,
            _ => eviction::evict(&self.directory, self.capacity_bytes),
        };
        eviction::write_usage(&usage, total).map_err(|e| Error::new("write", &path, e))
    }

    /// Evicts everything that is not pinned: the disk is full.
    fn evict_all(&self) -> Result<(), Error> {
        let usage = unpoisoned(&self.usage);
        let path = self.directory.join("usage");
        let _locked = Locked::new(&usage, &path)?;
        eviction::write_usage(&usage, eviction::evict(&self.directory, 0)).map_err(|e| Error::new("write", &path, e))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.live);
    }
}

// === impl Pin ===

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = unpoisoned(&self.shared.pins);
        if let Some(count) = pins.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.digest);
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}

/// An exclusive file lock, released when dropped. Threads of this process are kept apart by the mutex around the file.
struct Locked<'a>(&'a File);

impl<'a> Locked<'a> {
    fn new(file: &'a File, path: &Path) -> Result<Self, Error> {
        rustix::io::retry_on_intr(|| rustix::fs::flock(file, FlockOperation::LockExclusive))
            .map_err(|e| Error::new("lock", path, e.into()))?;
        Ok(Self(file))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(self.0, FlockOperation::Unlock);
    }
}

/// Makes this process's directory. Under the store's lock, so that nobody sweeps it before it is marked as alive.
fn create_live(parent: &Path) -> Result<(PathBuf, File), Error> {
    let live = tempfile::Builder::new()
        .prefix(&format!("{}-", std::process::id()))
        .tempdir_in(parent)
        .map_err(|e| Error::new("create a directory in", parent, e))?
        .keep();
    let path = live.join("alive");
    let alive = File::create(&path).map_err(|e| Error::new("create", &path, e))?;
    rustix::fs::flock(&alive, FlockOperation::NonBlockingLockExclusive).map_err(|e| Error::new("lock", &path, e.into()))?;
    Ok((live, alive))
}

/// Removes the directories of processes that are gone, with their unfinished files and their pins.
fn sweep_live(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let held = File::open(entry.path().join("alive"))
            .is_ok_and(|alive| rustix::fs::flock(&alive, FlockOperation::NonBlockingLockExclusive).is_err());
        if !held {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a file last verified at `modified` (seconds since 1970) may have been torn by a power cut. A time in the future counts too:
/// the clock has been set back.
fn written_before_boot(modified: i64) -> bool {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    modified < now - uptime || modified > now + 3600
}

/// Marks a file as used now, for eviction.
fn touch(path: &Path) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    let _ = set_times(path, times);
}

fn set_times(path: &Path, times: Timestamps) -> io::Result<()> {
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty())?)
}

pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// A panic elsewhere leaves these maps and files consistent, so their lock is taken all the same.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
