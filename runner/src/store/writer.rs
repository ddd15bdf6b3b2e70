//! New bytes on their way into the store: hashed as they pass, invisible until their digest is known.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;

use crds::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::{Blob, Error, Shared, Store};

/// A temporary file in the store, hashed as it grows. Dropped unfinished, it is gone.
#[derive(Debug)]
pub struct BlobWriter {
    spool: Spool,
    hasher: Sha256,
}

/// The file half of a `BlobWriter`. Whoever takes the halves apart, to hash and to write on two threads, gives both the same bytes.
#[derive(Debug)]
pub(crate) struct Spool {
    shared: Arc<Shared>,
    path: PathBuf,
    file: Arc<File>,
    /// Bytes written. Of a file that is written in order, where the next one goes.
    len: u64,
}

/// Why written bytes did not become a blob.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    #[error("expected {expected}, got {got}")]
    Mismatch { expected: Digest, got: Digest },
    #[error("the bytes could not be kept")]
    Store(#[source] Error),
}

// === impl BlobWriter ===

impl BlobWriter {
    pub(super) fn create(shared: &Arc<Shared>) -> Result<Self, Error> {
        let path = shared.temporary();
        // Readable too: what is written out of order is hashed from the file.
        let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o444).open(&path);
        let file = Arc::new(options.map_err(|e| Error::new("create", &path, e))?);
        Ok(Self { spool: Spool { shared: Arc::clone(shared), path, file, len: 0 }, hasher: Sha256::new() })
    }

    /// Appends all of `bytes`. When the disk is full, everything unpinned makes room first.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.spool.append(bytes)
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.spool.len
    }

    pub fn is_empty(&self) -> bool {
        self.spool.len == 0
    }

    /// The bytes become a blob, whatever their digest is.
    pub fn finish(mut self) -> Result<Blob, Error> {
        let digest = Digest::from_bytes(self.hasher.finalize_reset().into());
        self.spool.keep(digest)
    }

    /// The bytes become a blob if they hash to `expected`; otherwise they are gone.
    pub fn finish_as(mut self, expected: &Digest) -> Result<Blob, FinishError> {
        let got = Digest::from_bytes(self.hasher.finalize_reset().into());
        if got != *expected {
            return Err(FinishError::Mismatch { expected: *expected, got });
        }
        self.spool.keep(got).map_err(FinishError::Store)
    }

    pub(crate) fn into_halves(self) -> (Spool, Sha256) {
        (self.spool, self.hasher)
    }

    pub(crate) fn from_halves(spool: Spool, hasher: Sha256) -> Self {
        Self { spool, hasher }
    }
}

// === impl Spool ===

impl Spool {
    /// Appends all of `bytes`, unhashed.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_at(bytes, self.len)
    }

    /// Writes all of `bytes` where they belong, unhashed. No byte is written twice.
    pub(crate) fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let (mut rest, mut offset) = (bytes, offset);
        let mut made_room = false;
        while !rest.is_empty() {
            match self.file.write_at(rest, offset) {
                Ok(0) => return Err(Error::new("write", &self.path, io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    rest = &rest[written..];
                    offset += written as u64;
                    self.len += written as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::StorageFull && !made_room => {
                    made_room = true;
                    self.shared.evict_all()?;
                }
                Err(e) => return Err(Error::new("write", &self.path, e)),
            }
        }
        Ok(())
    }

    /// The file, for reading what has been written.
    pub(crate) fn reader(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// As an error of reading this file.
    pub(crate) fn unreadable(&self, error: io::Error) -> Error {
        Error::new("read", &self.path, error)
    }

    fn keep(self, digest: Digest) -> Result<Blob, Error> {
        let store = Store { shared: Arc::clone(&self.shared) };
        if let Some(known) = store.get(&digest).filter(|known| known.size_bytes() == self.len) {
            return Ok(known);
        }
        let pin = self.shared.admit(&self.path, &digest).map_err(|e| Error::new("name", &self.path, e))?;
        let blob = Blob { digest, size_bytes: self.len, pin: Arc::new(pin) };
        self.shared.account(self.len)?;
        Ok(blob)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Of a finished blob this name is gone already.
        let _ = fs::remove_file(&self.path);
    }
}
