//! What an output holds, in one canonical document: two outputs are equal if their manifests are equal bytes.
//!
//! JSON in the form of RFC 8785 (members sorted, no white space), files sorted by path. Directories are there only as parts of paths. What
//! is published beside the files (what the guest printed, how it exited) is a list of its own.

use crds::digest::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The files of one output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Not the guest's files, at the top beside them; sorted by path. Absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<ManifestFile>,
    /// Sorted by path, which is unique.
    pub files: Vec<ManifestFile>,
    /// Of this format: 1.
    version: u8,
}

// Fields in alphabetical order: RFC 8785.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestFile {
    pub digest: Digest,
    /// Relative, `/`-separated, safe.
    pub path: String,
    pub size_bytes: u64,
}

// === impl Manifest ===

impl Manifest {
    pub fn new(mut files: Vec<ManifestFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { beside: Vec::new(), files, version: 1 }
    }

    /// The same with what is published beside the files.
    #[must_use]
    pub fn with_beside(self, mut beside: Vec<ManifestFile>) -> Self {
        beside.sort_by(|a, b| a.path.cmp(&b.path));
        Self { beside, ..self }
    }

    /// The canonical document.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and lists can always be written")
    }

    /// Of the canonical document.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(Sha256::digest(self.to_json()).into())
    }

    /// Of the guest's files together.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }
}

#[cfg(test)]
mod tests;
