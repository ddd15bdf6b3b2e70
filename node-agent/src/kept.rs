//! Outputs that are published nowhere: kept below the state directory, by job UID, as long as there is room. Publishes nothing.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crds::node::{AssignedJob, Assignment};
use crds::reason::Reason;
use crds::report::Report;
use runner::failure::Failure;
use runner::fetch::path::safe_path;
use tracing::warn;

/// The outputs of attempts on this node. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct KeptOutputs {
    root: PathBuf,
    limit_bytes: u64,
    kept: Arc<Mutex<VecDeque<Kept>>>,
}

/// What one attempt left.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    directory: PathBuf,
    bytes: u64,
}

// === impl KeptOutputs ===

impl KeptOutputs {
    /// Finds what earlier processes left, and lets go of the oldest that is too much.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub(crate) fn open(root: &Path, limit_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let mut found = Vec::new();
        for job in fs::read_dir(root)? {
            let job = job?.path();
            for attempt in fs::read_dir(&job).into_iter().flatten().flatten() {
                let bytes = size(&attempt.path());
                if bytes == 0 {
                    discard(&attempt.path());
                } else {
                    let written = attempt.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((written, Kept { directory: attempt.path(), bytes }));
                }
            }
            // It goes only if it is empty.
            let _ = fs::remove_dir(&job);
        }
        found.sort_by_key(|(written, _)| *written);
        let kept = found.into_iter().map(|(_, kept)| kept).collect();
        let outputs = Self { root: root.to_owned(), limit_bytes, kept: Arc::new(Mutex::new(kept)) };
        outputs.let_go();
        Ok(outputs)
    }

    /// Where an attempt's outputs go. Not made yet.
    pub(crate) fn place(&self, job: &AssignedJob, index: i64, entry: &Assignment) -> Result<PathBuf, Failure> {
        let attempt = format!("{}-{index}-{}-{}", job.run, entry.attempt, entry.fence);
        let is_name = |text: &str| safe_path(text).is_ok() && !text.contains('/');
        if !is_name(&job.uid) || !is_name(&attempt) {
            return Err(Failure::new(Reason::Refused, "the assignment's job UID or fence is no UID or fence"));
        }
        Ok(self.root.join(&job.uid).join(attempt))
    }

    /// Keeps what of an attempt's outputs is published nowhere, in the background.
    pub(crate) fn settle(&self, directory: PathBuf, report: &Report) {
        let (published, kept): (Vec<_>, Vec<_>) = report.results.iter().partition(|result| result.uri.is_some());
        let published: Vec<_> = published.iter().map(|result| directory.join(&result.name)).collect();
        let bytes = kept.iter().map(|result| result.size_bytes).sum();
        let is_kept = !kept.is_empty();
        if !is_kept && !directory.exists() {
            return;
        }
        let outputs = self.clone();
        tokio::task::spawn_blocking(move || {
            if is_kept {
                for directory in published {
                    discard(&directory);
                }
                outputs.kept().push_back(Kept { directory, bytes });
                outputs.let_go();
            } else {
                discard(&directory);
                outputs.tidy_parent(&directory);
            }
        });
    }

    /// Removes the oldest until what is left is within the limit.
    fn let_go(&self) {
        loop {
            let oldest = {
                let mut kept = self.kept();
                let total: u64 = kept.iter().map(|kept| kept.bytes).sum();
                if total <= self.limit_bytes {
                    return;
                }
                kept.pop_front()
            };
            let Some(oldest) = oldest else { return };
            discard(&oldest.directory);
            self.tidy_parent(&oldest.directory);
        }
    }

    fn tidy_parent(&self, directory: &Path) {
        if let Some(job) = directory.parent().filter(|job| *job != self.root) {
            // Other attempts of the job may have theirs in it.
            let _ = fs::remove_dir(job);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn discard(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => warn!(%error, ?directory, "failed to remove outputs"),
        _ => {}
    }
}

/// Bytes of the files below a directory, links unfollowed.
fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |metadata| metadata.len()),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests;
