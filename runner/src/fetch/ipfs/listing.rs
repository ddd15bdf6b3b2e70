//! What a finished walk leaves for the next one: the files of a CID, by digest. A CID never changes, so a listing is never wrong, only
//! lost.

use crds::digest::Digest;
use serde::{Deserialize, Serialize};

use super::cid::Cid;
use super::walk::Found;
use crate::store::{Blob, Store};

/// Raised when listings are read differently, so that older ones are not found.
const FORMAT: u32 = 1;

/// The files of a CID and a path below it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    pub(super) is_file: bool,
    pub(super) directories: Vec<String>,
    pub(super) files: Vec<Listed>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) path: String,
    /// By which it can be fetched again when it was evicted.
    pub(super) cid: String,
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
}

// === impl Listing ===

impl Listing {
    pub(super) fn of(found: &Found) -> Self {
        let mut files: Vec<Listed> = found.files.iter().map(|file| Listed::new(file.path.clone(), &file.cid, &file.blob)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut directories = found.directories.clone();
        directories.sort();
        Self { is_file: found.is_file, directories, files }
    }

    pub(super) fn of_file(cid: &Cid, blob: &Blob) -> Self {
        Self { is_file: true, directories: Vec::new(), files: vec![Listed::new(String::new(), cid, blob)] }
    }

    /// Bytes of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }

    /// Files and directories.
    pub(super) fn entries(&self) -> u64 {
        (self.files.len() + self.directories.len()) as u64
    }
}

// === impl Listed ===

impl Listed {
    fn new(path: String, cid: &Cid, blob: &Blob) -> Self {
        Self { path, cid: cid.to_string(), digest: blob.digest(), size_bytes: blob.size_bytes() }
    }
}

/// The listing kept under `key`.
pub(super) async fn look_up(store: &Store, key: &str) -> Option<Listing> {
    let (store, key) = (store.clone(), note_key(key));
    let read = move || serde_json::from_slice(&store.note(&key)?).ok();
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

/// Keeps a listing. Where that fails, the next fetch asks the servers again.
pub(super) async fn keep(store: &Store, key: &str, listing: &Listing) {
    let (store, key) = (store.clone(), note_key(key));
    let Ok(value) = serde_json::to_vec(listing) else { return };
    let kept = tokio::task::spawn_blocking(move || store.set_note(&key, &value)).await;
    if let Ok(Err(error)) = kept {
        tracing::debug!(%error, "an IPFS listing was not kept");
    }
}

/// The bytes of each listed file, where the store still has them.
pub(super) async fn blobs(store: &Store, listing: Listing) -> (Listing, Vec<Option<Blob>>) {
    let (store, digests): (_, Vec<Digest>) = (store.clone(), listing.files.iter().map(|file| file.digest).collect());
    let count = digests.len();
    let read = move || digests.iter().map(|digest| store.get(digest)).collect();
    let blobs = tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| vec![None; count]);
    (listing, blobs)
}

fn note_key(key: &str) -> String {
    format!("ipfs listing {FORMAT} {key}")
}
