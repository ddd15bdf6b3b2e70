//! What the process before this one left. Whoever holds the lock of the state directory is alone in it, so everything is a leftover;
//! a process's number says nothing: in a container it is always the same.

use std::path::Path;

use tracing::warn;

/// Empties a folder.
pub(crate) fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            warn!(%error, path = ?entry.path(), "failed to remove what an earlier process left");
        }
    }
}

#[cfg(test)]
mod tests;
