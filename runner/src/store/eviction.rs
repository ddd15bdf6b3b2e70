//! Which files go when the store has outgrown its capacity: the least recently used, never a pinned one.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Bytes that the store is known to hold; `None` when nobody has counted yet.
pub(super) fn read_usage(usage: &File) -> Option<u64> {
    let mut bytes = [0; 8];
    usage.read_exact_at(&mut bytes, 0).ok()?;
    Some(u64::from_le_bytes(bytes))
}

pub(super) fn write_usage(usage: &File, total: u64) -> std::io::Result<()> {
    usage.write_all_at(&total.to_le_bytes(), 0)
}

/// Counts the store, and when it holds more than `capacity` removes the least recently used files until it is a tenth below that.
/// Returns the bytes that are left. A file that cannot be looked at counts as gone: another process has evicted it.
///
/// Whoever pins a file between the look at its links and its removal keeps the bytes through the pin, and loses only the entry.
pub(super) fn evict(directory: &Path, capacity: u64) -> u64 {
    let mut files = files_of(directory);
    let mut total = files.iter().map(|file| file.size_bytes).sum();
    if total <= capacity {
        return total;
    }
    files.sort_by_key(|file| file.used);
    for file in files.iter().filter(|file| !file.pinned) {
        if total <= capacity - capacity / 10 {
            break;
        }
        if fs::remove_file(&file.path).is_ok() {
            total -= file.size_bytes;
        }
    }
    total
}

struct Entry {
    path: PathBuf,
    size_bytes: u64,
    pinned: bool,
    /// Seconds and nanoseconds since 1970.
    used: (i64, i64),
}

fn files_of(directory: &Path) -> Vec<Entry> {
    ["blobs", "notes"]
        .into_iter()
        .flat_map(|name| fs::read_dir(directory.join(name)).into_iter().flatten().flatten())
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(Entry {
                path: entry.path(),
                size_bytes: metadata.len(),
                pinned: metadata.nlink() > 1,
                used: (metadata.atime(), metadata.atime_nsec()),
            })
        })
        .collect()
}
