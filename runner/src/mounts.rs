//! The directories a guest sees: each input's tree built by links into the store, each output's empty directory.
//!
//! Fetches nothing. Inputs are read-only to the guest; a mount below another input's mount is built into that input's directory, so
//! that a listing of the outer one shows it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crds::job::{Output, WhatToRun};
use crds::reason::Reason;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::failure::Failure;
use crate::fetch::{Tree, TreeFile};
use crate::order::Preopen;
use crate::publish::OutputLimits;
use crate::task::{Given, Task};

/// A directory that the guest writes.
#[derive(Clone, Debug)]
pub(crate) struct OutputDirectory {
    pub(crate) output: Output,
    pub(crate) directory: PathBuf,
    pub(crate) limits: OutputLimits,
}

/// What a Secret holds, by the names of files.
type SecretFiles = BTreeMap<String, SecretSlice<u8>>;

/// Builds the inputs below `work`: what the guest sees of them.
pub(crate) fn inputs(work: &Path, what: &WhatToRun, trees: &[Tree], given: &Given) -> Result<Vec<Preopen>, Failure> {
    let secret = |position: usize| given.inputs.get(&what.inputs[position].name);
    let mut mounts: Vec<(String, &Tree, Option<&SecretFiles>)> =
        trees.iter().enumerate().map(|(position, tree)| (absolute(&what.input_mount_path(position)), tree, secret(position))).collect();
    mounts.sort_by(|a, b| a.0.cmp(&b.0));

    let mut roots: Vec<(String, PathBuf)> = Vec::new();
    for (mount, tree, secret) in mounts {
        let inner = roots.iter().find_map(|(root, directory)| below(&mount, root).map(|rest| directory.join(rest)));
        let directory = inner.unwrap_or_else(|| {
            let directory = work.join(format!("input-{}", roots.len()));
            roots.push((mount.clone(), directory.clone()));
            directory
        });
        build(&directory, tree).map_err(|error| unbuilt(&mount, &error))?;
        hold(&directory, secret).map_err(|error| unbuilt(&mount, &error))?;
    }
    roots.into_iter().map(|(guest, directory)| preopen(guest, &directory, false)).collect()
}

/// Makes the outputs' directories below `parent`: what the guest sees of them.
pub(crate) fn outputs(directories: &[OutputDirectory]) -> Result<Vec<Preopen>, Failure> {
    directories
        .iter()
        .map(|output| {
            let mount = absolute(output.output.mount_path.as_deref().unwrap_or("/outputs"));
            fs::create_dir_all(&output.directory).map_err(|error| unbuilt(&mount, &error))?;
            preopen(mount, &output.directory, true)
        })
        .collect()
}

/// Removes those of the task's output directories that nothing is left in, and the one above them.
pub(crate) fn remove_empty(task: &Task) {
    if !task.flatten_single_output || task.what.effective_outputs().len() != 1 {
        for output in task.what.effective_outputs() {
            // Most were never made, and what holds files stays.
            let _ = fs::remove_dir(task.output_directory.join(output.name));
        }
    }
    let _ = fs::remove_dir(&task.output_directory);
}

/// A mount path as the guest resolves it: relative ones begin at the root.
fn absolute(mount: &str) -> String {
    format!("/{}", mount.trim_matches('/'))
}

/// What follows `root` in `mount`, when it is `root` or lies below it.
fn below<'a>(mount: &'a str, root: &str) -> Option<&'a str> {
    let rest = mount.strip_prefix(root)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

fn preopen(guest: String, directory: &Path, writable: bool) -> Result<Preopen, Failure> {
    let host = directory.to_str().ok_or_else(|| {
        Failure::new(Reason::WorkerKilled, format!("{} is no UTF-8: choose another cache or output directory", directory.display()))
    })?;
    Ok(Preopen { host: host.to_owned(), guest, writable })
}

fn build(directory: &Path, tree: &Tree) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for below in &tree.directories {
        fs::create_dir_all(directory.join(below))?;
    }
    for file in &tree.files {
        place(directory, file)?;
    }
    Ok(())
}

/// What a Secret holds: never in the store, which outlives the attempt.
fn hold(directory: &Path, files: Option<&SecretFiles>) -> io::Result<()> {
    for (name, value) in files.into_iter().flatten() {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(directory.join(name))?;
        file.write_all(value.expose_secret())?;
    }
    Ok(())
}

/// A link where the file system lets it, else a copy. Never over a file that is there.
fn place(directory: &Path, file: &TreeFile) -> io::Result<()> {
    let path = directory.join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::hard_link(file.blob.path(), &path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks | io::ErrorKind::PermissionDenied) =>
        {
            let mut copy = fs::File::create_new(&path)?;
            io::copy(&mut file.blob.open()?, &mut copy)?;
            Ok(())
        }
        linked => linked,
    }
    .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.path)))
}

fn unbuilt(mount: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Failure::new(
            Reason::InvalidSpec,
            format!("two inputs put a file at the same place below {mount:?} ({error}): give them mount paths of their own"),
        ),
        _ => Failure::new(Reason::WorkerKilled, format!("failed to build the directory for {mount:?}: {error}")),
    }
}

#[cfg(test)]
mod tests;
