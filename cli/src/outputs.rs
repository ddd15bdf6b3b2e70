//! The folder that gets a run's outputs: filled beside its place, then put there whole.
//!
//! Never loses a file that an earlier run did not write: a record of what each run left, in the cache directory, tells ours from others'.
//! A folder with other files in it is refused before anything runs, or merged into with `--overwrite`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

#[cfg(test)]
mod tests;

/// Where outputs will go, and where they are gathered until then.
#[derive(Debug)]
pub(crate) struct Destination {
    directory: PathBuf,
    staging: TempDir,
    record: PathBuf,
    overwrite: bool,
}

/// What a run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) directory: PathBuf,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0:?} is a file: name a folder with --output-dir")]
    NotADirectory(PathBuf),
    #[error(
        "{directory:?} holds files that no earlier run wrote ({file:?}): choose another folder with --output-dir, or --overwrite to write \
         into this one (files of the same name are replaced, others stay)"
    )]
    HoldsOtherFiles { directory: PathBuf, file: PathBuf },
    #[error("unable to look into {path:?}: {source}")]
    Look { path: PathBuf, source: io::Error },
    #[error("unable to make a folder for outputs beside {directory:?} or in {cache:?}: {source}")]
    Stage { directory: PathBuf, cache: PathBuf, source: io::Error },
    #[error("unable to write {directory:?}: {source}; the outputs are in {kept:?}")]
    Place { directory: PathBuf, kept: PathBuf, source: io::Error },
}

/// The files of a folder by path, with size and time: what a run wrote there, and how it can be told that nobody touched it since.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    files: BTreeMap<PathBuf, Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    modified_nanoseconds: u128,
}

impl Destination {
    /// Refuses a place that holds anything an earlier run did not write, unless `overwrite`.
    pub(crate) fn choose(directory: &Path, overwrite: bool, cache: &Path) -> Result<Self, Error> {
        let look = |source| Error::Look { path: directory.to_owned(), source };
        // Through a link the folder it names is replaced, not the link.
        let directory = match directory.canonicalize() {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(directory).map_err(look)?,
            Err(error) => return Err(look(error)),
        };
        let record = record_path(cache, &directory);
        if let Some(file) = foreign_file(&directory, &record)?.filter(|_| !overwrite) {
            return Err(Error::HoldsOtherFiles { directory, file });
        }
        let staging = stage(&directory, cache)?;
        Ok(Self { directory, staging, record, overwrite })
    }

    /// Where the run writes its outputs.
    pub(crate) fn staging(&self) -> PathBuf {
        self.staging.path().join("new")
    }

    /// Puts what the run wrote in its place; `None` where it wrote nothing. What the run before it left there is gone either way.
    pub(crate) fn keep(self) -> Result<Option<Kept>, Error> {
        let new = self.staging();
        let written = scan(&new)?;
        // Looked at again: files may have come while the job ran.
        let merge = self.overwrite || foreign_file(&self.directory, &self.record)?.is_some();
        let placed = if merge {
            written.files.keys().try_for_each(|file| place_file(&new, &self.directory, file))
        } else {
            swap(&new, &self.directory, &self.staging.path().join("old"), written.files.is_empty())
        };
        if let Err(source) = placed {
            let kept = self.staging.keep().join("new");
            return Err(Error::Place { directory: self.directory, kept, source });
        }
        if written.files.is_empty() {
            return Ok(None);
        }
        remember(&self.record, &self.directory, &written);
        let bytes = written.files.values().map(|stamp| stamp.bytes).sum();
        Ok(Some(Kept { directory: self.directory, files: written.files.len() as u64, bytes }))
    }
}

/// A private folder in the nearest existing directory above the destination, so that a rename moves it; in the cache where that cannot
/// be written.
fn stage(directory: &Path, cache: &Path) -> Result<TempDir, Error> {
    let beside = directory.ancestors().skip(1).find(|ancestor| ancestor.is_dir()).unwrap_or(cache);
    let hidden = tempfile::Builder::new().prefix(".wasmjob-outputs-").to_owned();
    let in_cache = || {
        fs::create_dir_all(cache)?;
        hidden.tempdir_in(cache)
    };
    hidden.tempdir_in(beside).or_else(|_| in_cache()).map_err(|source| Error::Stage {
        directory: directory.to_owned(),
        cache: cache.to_owned(),
        source,
    })
}

/// The first file that is not as an earlier run left it.
fn foreign_file(directory: &Path, record: &Path) -> Result<Option<PathBuf>, Error> {
    let present = scan(directory)?;
    let recorded: Record = fs::read(record).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    Ok(present.files.into_iter().find(|(file, stamp)| recorded.files.get(file) != Some(stamp)).map(|(file, _)| file))
}

/// Every file below `directory`, links unfollowed; nothing where there is no such directory.
fn scan(directory: &Path) -> Result<Record, Error> {
    let look = |path: &Path, source| Error::Look { path: path.to_owned(), source };
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound && path == directory => break,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory && path == directory => return Err(Error::NotADirectory(path)),
            Err(error) => return Err(look(&path, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| look(&path, error))?;
            let metadata = entry.metadata().map_err(|error| look(&entry.path(), error))?;
            if metadata.is_dir() {
                pending.push(entry.path());
                continue;
            }
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let relative = entry.path().strip_prefix(directory).map(Path::to_owned).unwrap_or_default();
            files.insert(relative, Stamp { bytes: metadata.len(), modified_nanoseconds: modified.as_nanos() });
        }
    }
    Ok(Record { files })
}

/// Moves the old folder aside and the new one into its place; back again where that fails.
fn swap(new: &Path, place: &Path, old: &Path, nothing_new: bool) -> io::Result<()> {
    let had_old = match fs::rename(place, old) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if nothing_new {
        return Ok(());
    }
    let parent = place.parent().unwrap_or(place);
    fs::create_dir_all(parent).and_then(|()| fs::rename(new, place)).inspect_err(|_| {
        if had_old {
            // Nothing more can be done where even this fails; the old files stay in the staging folder, which the error names.
            let _ = fs::rename(old, place);
        }
    })
}

/// Moves one file to its place in a folder that keeps its others.
fn place_file(new: &Path, place: &Path, file: &Path) -> io::Result<()> {
    let target = place.join(file);
    fs::create_dir_all(target.parent().unwrap_or(place))?;
    fs::rename(new.join(file), target)
}

/// By the folder's path, so that a copy of the folder is nobody's.
fn record_path(cache: &Path, directory: &Path) -> PathBuf {
    let name = hex::encode(Sha256::digest(directory.as_os_str().as_encoded_bytes()));
    cache.join("outputs").join(format!("{name}.json"))
}

/// A record that cannot be written costs the next run a refusal, never a file.
fn remember(record: &Path, directory: &Path, written: &Record) {
    let write = || -> io::Result<()> {
        let present = scan(directory).map_err(io::Error::other)?;
        let files = present.files.into_iter().filter(|(file, _)| written.files.contains_key(file)).collect();
        fs::create_dir_all(record.parent().unwrap_or(record))?;
        fs::write(record, serde_json::to_vec(&Record { files })?)
    };
    if let Err(error) = write() {
        tracing::warn!(%error, ?record, "unable to record the outputs");
    }
}
