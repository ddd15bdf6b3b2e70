//! An archive → its files: tar, as it is or compressed. Every entry is judged before a byte of it is kept, and the caps hold while it
//! is being read.
//!
//! Nothing is written under a name from the archive: each file becomes a blob, and its path must be safe, unique and in nobody's way.
//! Links, devices, owners, modes and times are not taken over. Whatever two readers could read differently is refused.

mod decode;
mod entry;
mod meter;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crds::digest::Digest;
use crds::job::Unpack;
use crds::reason::Reason;
use serde::{Deserialize, Serialize};

use self::decode::Decoder;
use self::entry::{Kind, Named};
use self::meter::{Meter, Overrun, State};
use super::FetchLimits;
use super::tree::{Tree, TreeError, TreeFile};
use crate::failure::Failure;
use crate::store::{self, Blob, Store};

/// Most files and directories in one archive, whatever else is allowed.
const MOST_ENTRIES: u64 = 10_000;
/// Bytes that any archive may unpack to, and how many more for each of its own: text shrinks to a tenth, a bomb to less than a thousandth.
const ALWAYS_BYTES: u64 = 1 << 30;
const MOST_GROWTH: u64 = 100;
/// Deepest path in an archive.
const MOST_SEGMENTS: usize = 32;
/// Most bytes between the contents of two files: headers, long names, extensions.
const HEADER_BYTES: u64 = 1 << 20;
/// Most bytes after the last file.
const TRAILER_BYTES: u64 = 4 << 20;
const BLOCK: u64 = 512;
/// Raised when archives are read differently, so that older listings are not found.
const FORMAT: u32 = 1;

/// Caps of one archive.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of its files together.
    bytes: u64,
    /// Files and directories.
    entries: u64,
}

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("its entry {path:?} {why}")]
    Entry { path: String, why: String },
    #[error("{0}")]
    Tree(TreeError),
    #[error("it is damaged or no archive of this kind: {0}")]
    Damaged(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("its files could not be kept: {0}")]
    Store(String),
}

/// What an archive held, for the next time.
#[derive(Debug, Serialize, Deserialize)]
struct Listing {
    directories: Vec<String>,
    files: Vec<(String, Digest)>,
}

/// Somebody waits for what a thread does; when he no longer does, the thread is told.
#[derive(Default)]
struct Waiting {
    given_up: Arc<AtomicBool>,
}

/// What the archive holds that `tree` is, which must be a single file.
pub(crate) async fn of_tree(store: &Store, tree: &Tree, format: Unpack, limits: &FetchLimits) -> Result<Tree, Failure> {
    let ([archive], []) = (tree.files.as_slice(), tree.directories.as_slice()) else {
        let message = format!("unpack: there are {} files in place of one archive; name it, or remove unpack", tree.files.len());
        return Err(Failure::new(Reason::InvalidSpec, message));
    };
    let archive = archive.blob.clone();
    let limits = Limits::of(archive.size_bytes(), limits);
    let key = format!("unpack {format:?} {}", archive.digest());
    let work = async {
        let waiting = Waiting::default();
        let (store, given_up) = (store.clone(), Arc::clone(&waiting.given_up));
        let unpacked = tokio::task::spawn_blocking(move || unpack(&store, &archive, format, limits, &given_up)).await;
        match unpacked {
            Ok(unpacked) => unpacked.map_err(Refusal::into_failure),
            Err(error) => Err(Failure::new(Reason::FetchFailed, format!("unpacking was interrupted: {error}"))),
        }
    };
    store.once(&key, work).await
}

/// The files of `archive`. Blocks for as long as that takes, or until `given_up` is set.
fn unpack(store: &Store, archive: &Blob, format: Unpack, limits: Limits, given_up: &Arc<AtomicBool>) -> Result<Tree, Refusal> {
    let key = format!("archive listing {FORMAT} {format:?} {}", archive.digest());
    if let Some(tree) = known(store, &key, limits) {
        return Ok(tree);
    }
    let file = archive.open().map_err(|error| Refusal::Store(error.to_string()))?;
    let state = State::new(Arc::clone(given_up));
    let decoder = Decoder::new(file, format).map_err(|error| refusal_of(&error))?;
    let mut reader = tar::Archive::new(Meter::new(decoder, &state));
    let mut unpacking =
        Unpacking { store, limits, state: &state, bytes: 0, seen: BTreeSet::new(), directories: Vec::new(), files: Vec::new() };
    let end = unpacking.entries(&mut reader)?;
    ends_well(reader.into_inner(), &state, end)?;
    let tree = Tree::new(unpacking.directories, unpacking.files).map_err(Refusal::Tree)?;
    keep(store, &key, &tree);
    Ok(tree)
}

/// What an earlier unpacking left, where all of it is still here and within the caps of today.
fn known(store: &Store, key: &str, limits: Limits) -> Option<Tree> {
    let listing: Listing = serde_json::from_slice(&store.note(key)?).ok()?;
    let files = listing.files.into_iter().map(|(path, digest)| Some(TreeFile { path, blob: store.get(&digest)? }));
    let tree = Tree { directories: listing.directories, files: files.collect::<Option<_>>()? };
    let bytes = tree.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.blob.size_bytes()));
    let entries = (tree.files.len() + tree.directories.len()) as u64;
    (bytes <= limits.bytes && entries <= limits.entries).then_some(tree)
}

/// Keeps the listing. Where that fails, the next unpacking reads the archive again.
fn keep(store: &Store, key: &str, tree: &Tree) {
    let files = tree.files.iter().map(|file| (file.path.clone(), file.blob.digest())).collect();
    let listing = Listing { directories: tree.directories.clone(), files };
    if let Ok(value) = serde_json::to_vec(&listing)
        && let Err(error) = store.set_note(key, &value)
    {
        tracing::debug!(%error, "an archive's listing was not kept");
    }
}

/// What has been read so far.
struct Unpacking<'a> {
    store: &'a Store,
    limits: Limits,
    state: &'a State,
    bytes: u64,
    /// Paths of files, for telling a second one before it is read.
    seen: BTreeSet<String>,
    directories: Vec<String>,
    files: Vec<TreeFile>,
}

// === impl Limits ===

impl Limits {
    /// Of an archive of so many bytes.
    fn of(archive_bytes: u64, limits: &FetchLimits) -> Self {
        let grown = archive_bytes.saturating_mul(MOST_GROWTH).saturating_add(ALWAYS_BYTES);
        Self { bytes: limits.input_bytes.min(grown), entries: limits.input_entries.min(MOST_ENTRIES) }
    }
}

// === impl Waiting ===

impl Drop for Waiting {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

// === impl Unpacking ===

impl Unpacking<'_> {
    /// Reads every entry: where the last one ends, in bytes of the tar stream.
    fn entries<R: Read>(&mut self, archive: &mut tar::Archive<R>) -> Result<u64, Refusal> {
        let mut end = 0;
        let mut count = 0;
        let mut entries = archive.entries().map_err(|error| refusal_of(&error))?;
        loop {
            self.state.allow(HEADER_BYTES);
            let Some(entry) = entries.next() else { return Ok(end) };
            let mut entry = entry.map_err(|error| refusal_of(&error))?;
            count += 1;
            if count > self.limits.entries {
                return Err(Refusal::TooLarge(format!("it holds more than the {} entries that are allowed", self.limits.entries)));
            }
            end = entry.raw_file_position().saturating_add(entry.size().next_multiple_of(BLOCK));
            match entry::judge(&mut entry)? {
                Kind::Nothing => {}
                Kind::Directory(named) => self.directories.push(shallow(named)?),
                Kind::File(named) => self.file(&mut entry, shallow(named)?)?,
            }
        }
    }

    fn file<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>, path: String) -> Result<(), Refusal> {
        if !self.seen.insert(path.clone()) {
            return Err(Refusal::Entry { path, why: "is there twice".to_owned() });
        }
        let size = entry.size();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(Refusal::TooLarge(format!("its files have more than the {} bytes that are allowed", self.limits.bytes)));
        }
        self.state.allow(size);
        let mut writer = self.store.writer().map_err(|error| not_kept(&error))?;
        let mut buffer = vec![0; usize::try_from(size.clamp(1, 1 << 20)).unwrap_or(1 << 20)];
        loop {
            match entry.read(&mut buffer).map_err(|error| refusal_of(&error))? {
                0 => break,
                read => writer.write(&buffer[..read]).map_err(|error| not_kept(&error))?,
            }
        }
        if writer.len() != size {
            return Err(Refusal::Damaged(format!("it ends within {path:?}")));
        }
        self.files.push(TreeFile { path, blob: writer.finish().map_err(|error| not_kept(&error))? });
        Ok(())
    }
}

fn shallow(named: Named) -> Result<String, Refusal> {
    let Named(path) = named;
    if path.split('/').count() > MOST_SEGMENTS {
        return Err(Refusal::TooLarge(format!("its entry {path:?} is more than {MOST_SEGMENTS} directories deep")));
    }
    Ok(path)
}

/// After the last entry come two blocks of zeros, then only zeros, then the end; of a compressed stream too.
fn ends_well(mut meter: Meter<Decoder>, state: &State, end: u64) -> Result<(), Refusal> {
    state.allow(TRAILER_BYTES);
    io::copy(&mut meter, &mut io::sink()).map_err(|error| refusal_of(&error))?;
    if state.last_byte() > end {
        return Err(Refusal::Damaged("something follows its end".to_owned()));
    }
    if state.read() < end.saturating_add(2 * BLOCK) {
        return Err(Refusal::Damaged("it is cut off: its end is missing".to_owned()));
    }
    match meter.into_inner().into_end() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::Damaged("something follows the compressed stream".to_owned())),
        Err(error) => Err(refusal_of(&error)),
    }
}

/// What an error while reading means.
fn refusal_of(error: &io::Error) -> Refusal {
    if error.get_ref().and_then(|inner| inner.downcast_ref::<Overrun>()).is_some() {
        return Refusal::TooLarge("what lies between its files is larger than the 1 MiB that are allowed".to_owned());
    }
    // What zstd says of a frame whose window is larger than the cap.
    if error.to_string().contains("requires too much memory") {
        return Refusal::TooLarge("unpacking it takes a window of more than 8 MiB: compress it with at most --long=23".to_owned());
    }
    Refusal::Damaged(error.to_string())
}

fn not_kept(error: &store::Error) -> Refusal {
    Refusal::Store(crate::failure::chain(error))
}

// === impl Refusal ===

impl Refusal {
    fn reason(&self) -> Reason {
        match self {
            Self::Entry { .. } | Self::Tree(_) | Self::Damaged(_) => Reason::ArchiveUnsafe,
            Self::TooLarge(_) => Reason::FetchTooLarge,
            Self::Store(_) => Reason::FetchFailed,
        }
    }

    fn into_failure(self) -> Failure {
        Failure::new(self.reason(), format!("the archive is not unpacked: {self}"))
    }
}

#[cfg(test)]
mod tests;
