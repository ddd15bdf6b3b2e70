//! What a publisher sends: an output's files, what is beside them, and the manifest of both. Sends nothing.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crds::reason::Reason;

use super::beside::{BesideFiles, EXIT_CODE, STDERR, STDOUT};
use super::manifest::{Manifest, ManifestFile};
use crate::failure::Failure;

/// Name of the manifest beside the files that it lists.
pub(crate) const MANIFEST: &str = "manifest.json";

/// All of one output that is published.
#[derive(Clone, Debug)]
pub struct Contents {
    directory: Arc<OwnedFd>,
    beside: Option<BesideFiles>,
    manifest: Manifest,
}

/// One file of it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// That the path in `file` begins at.
    pub(crate) directory: Arc<OwnedFd>,
    pub(crate) file: ManifestFile,
    /// It is none of the guest's.
    pub(crate) is_beside: bool,
}

// === impl Contents ===

impl Contents {
    /// `manifest` is of what is in `directory`.
    ///
    /// # Errors
    /// `OutputUnsafe`: a file of the guest's is called like one that is put beside it.
    pub fn new(directory: OwnedFd, manifest: Manifest, beside: Option<BesideFiles>) -> Result<Self, Failure> {
        let names = [MANIFEST, STDOUT, STDERR, EXIT_CODE];
        // Taken whether or not there are files beside: what is a good name does not depend on it.
        if let Some(taken) = manifest.files.iter().find(|file| names.contains(&top(&file.path))) {
            let message = format!(
                "output {:?}: {}, {STDOUT}, {STDERR} and {EXIT_CODE} are published under these names beside the guest's files; call it something else",
                taken.path, "the manifest"
            );
            return Err(Failure::new(Reason::OutputUnsafe, message));
        }
        let manifest = manifest.with_beside(beside.iter().flat_map(|beside| beside.files.clone()).collect());
        Ok(Self { directory: Arc::new(directory), beside, manifest })
    }

    /// What is published nowhere: any name will do.
    pub(crate) fn kept(directory: OwnedFd, manifest: Manifest) -> Self {
        Self { directory: Arc::new(directory), beside: None, manifest }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Every file but the manifest: the guest's, then those beside them.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let part = |directory: &Arc<OwnedFd>, file: &ManifestFile, is_beside| Part {
            directory: Arc::clone(directory),
            file: file.clone(),
            is_beside,
        };
        let of_guest = self.manifest.files.iter().map(|file| part(&self.directory, file, false));
        let beside = self.beside.iter().flat_map(|beside| beside.files.iter().map(|file| part(&beside.directory, file, true)));
        of_guest.chain(beside).collect()
    }
}

/// The first step of a path.
fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}
