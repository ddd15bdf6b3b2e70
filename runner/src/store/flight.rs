//! One caller per key at a time: the others of this process wait in line, those of other processes ask again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::FlockOperation;
use tokio::sync::OwnedMutexGuard;

use super::{digest_of, unpoisoned};

/// How often another process's lock is asked for. A blocking wait would hold a thread that nobody can cancel.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The keys that somebody in this process works on or waits for.
#[derive(Debug, Default)]
pub(super) struct Flights {
    keys: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
}

/// The right to work on a key, until dropped: first the file lock goes, then the next of this process gets its turn.
pub(super) struct Turn {
    _file: Option<LockFile>,
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in the line for a key; forgets the key when it was the last.
struct Place {
    key: String,
    keys: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    line: Option<Arc<tokio::sync::Mutex<()>>>,
}

/// An existing lock file that this process holds; removed on release.
struct LockFile {
    path: PathBuf,
    _file: File,
}

// === impl Flights ===

impl Flights {
    pub(super) async fn turn(&self, directory: &Path, key: &str) -> Turn {
        let line = Arc::clone(unpoisoned(&self.keys).entry(key.to_owned()).or_default());
        let place = Place { key: key.to_owned(), keys: Arc::clone(&self.keys), line: Some(Arc::clone(&line)) };
        let guard = line.lock_owned().await;
        let file = lock_file(&directory.join(digest_of(key.as_bytes()).hex())).await;
        Turn { _file: file, _guard: guard, _place: place }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        unpoisoned(&self.keys).is_empty()
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut keys = unpoisoned(&self.keys);
        self.line = None;
        if keys.get(&self.key).is_some_and(|line| Arc::strong_count(line) == 1) {
            keys.remove(&self.key);
        }
    }
}

// === impl LockFile ===

impl Drop for LockFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock at `path`, as soon as no other process holds it; `None` when there can be none.
async fn lock_file(path: &Path) -> Option<LockFile> {
    loop {
        match try_lock(path) {
            Ok(Some(file)) => return Some(LockFile { path: path.to_owned(), _file: file }),
            Ok(None) => tokio::time::sleep(ASK_AGAIN).await,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no lock file: another process may do the same work");
                return None;
            }
        }
    }
}

fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // Its former holder may have removed the name between our open and our lock: then the lock is on a file that nobody else finds.
    let held = file.metadata()?.ino();
    let named = fs::metadata(path).map(|metadata| metadata.ino()).ok();
    Ok((named == Some(held)).then_some(file))
}
