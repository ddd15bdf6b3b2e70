//! What an input is: directories and verified files under safe paths, none of which is in the way of another.

use std::collections::BTreeSet;

use super::path::{UnsafePath, safe_path};
use crate::store::Blob;

/// The files of an input. Paths are relative, `/`-separated, safe, sorted and unique; every parent of a path is among the directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub directories: Vec<String>,
    pub files: Vec<TreeFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    pub path: String,
    pub blob: Blob,
}

/// Why paths do not make a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("{path:?} cannot be a file name: {why}")]
    Unsafe { path: String, why: UnsafePath },
    #[error("{0:?} is both a file and a directory, or is there twice")]
    Conflict(String),
}

// === impl Tree ===

impl Tree {
    /// One file at the top.
    pub(crate) fn of_one(path: String, blob: Blob) -> Self {
        Self { directories: Vec::new(), files: vec![TreeFile { path, blob }] }
    }

    /// Checks the paths, sorts them and adds the directories that they imply.
    pub(crate) fn new(directories: Vec<String>, mut files: Vec<TreeFile>) -> Result<Self, TreeError> {
        let directories = check_paths(directories, files.iter().map(|file| file.path.as_str()))?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { directories, files })
    }
}

/// Every directory that `directories` and `files` name or imply, if all paths are safe and no two are in each other's way.
pub(crate) fn check_paths<'a>(directories: Vec<String>, files: impl Iterator<Item = &'a str>) -> Result<Vec<String>, TreeError> {
    let checked = |path: &str| match safe_path(path) {
        Ok(_) => Ok(()),
        Err(why) => Err(TreeError::Unsafe { path: path.to_owned(), why }),
    };
    let mut all = BTreeSet::new();
    for directory in &directories {
        checked(directory)?;
        all.extend(parents(directory));
    }
    all.extend(directories);
    let mut names = BTreeSet::new();
    for file in files {
        checked(file)?;
        all.extend(parents(file));
        if !names.insert(file) {
            return Err(TreeError::Conflict(file.to_owned()));
        }
    }
    match names.into_iter().find(|name| all.contains(*name)) {
        Some(both) => Err(TreeError::Conflict(both.to_owned())),
        None => Ok(all.into_iter().collect()),
    }
}

fn parents(path: &str) -> impl Iterator<Item = String> + '_ {
    path.match_indices('/').map(|(at, _)| path[..at].to_owned())
}

#[cfg(test)]
mod tests;
