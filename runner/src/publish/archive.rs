//! All that is published of an output → one tar.gz, the same bytes for the same files: sorted, without times, owners and modes of their own.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use crds::digest::Digest;
use crds::reason::Reason;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::contents::{Contents, Part};
use super::manifest::ManifestFile;
use super::{hash, open, open_file, private, unsafe_output};
use crate::failure::Failure;

/// Name of the archive beside the manifest.
pub(crate) const ARCHIVE: &str = "outputs.tar.gz";

/// An archive on this machine's disk, as long as it is held.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) part: Part,
    _directory: TempDir,
}

/// Passes bytes on and hashes them.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

/// Makes the archive in `work`.
pub(crate) async fn archive(work: &Path, contents: &Contents) -> Result<Archive, Failure> {
    let (work, parts) = (work.to_owned(), contents.parts());
    let made = tokio::task::spawn_blocking(move || make(&work, &parts)).await;
    made.unwrap_or_else(|_| Err(Failure::new(Reason::PublishFailed, "the thread that packs the output died; this is a defect of ours")))
}

fn make(work: &Path, parts: &[Part]) -> Result<Archive, Failure> {
    let directory = private(work).map_err(|error| unwritten(&error))?;
    let path = directory.path().join(ARCHIVE);
    let file = File::create_new(&path).map_err(|error| unwritten(&error))?;
    let gz = GzBuilder::new().mtime(0).write(BufWriter::new(file), Compression::fast());
    let mut tar = tar::Builder::new(gz);
    for part in parts {
        append(&mut tar, part)?;
    }
    let finish = || tar.into_inner()?.finish()?.flush();
    finish().map_err(|error| unwritten(&error))?;
    let size_bytes = std::fs::metadata(&path).map_err(|error| unwritten(&error))?.len();
    let opened = open(directory.path())?;
    let file = ManifestFile { digest: hash(opened.as_fd(), ARCHIVE, size_bytes)?, path: ARCHIVE.to_owned(), size_bytes };
    Ok(Archive { part: Part { directory: Arc::new(opened), file, is_beside: true }, _directory: directory })
}

fn append(tar: &mut tar::Builder<impl io::Write>, part: &Part) -> Result<(), Failure> {
    let Part { directory, file, .. } = part;
    let opened = open_file(directory.as_fd(), &file.path, file.size_bytes)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(file.size_bytes);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut reader = Hashing { inner: opened.take(file.size_bytes), hasher: Sha256::new() };
    tar.append_data(&mut header, &file.path, &mut reader).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => unsafe_output(&format!("{:?}: it cannot be put into a tar archive: {error}", file.path)),
        _ => unwritten(&error),
    })?;
    let read = Digest::from_bytes(reader.hasher.finalize().into());
    if read == file.digest { Ok(()) } else { Err(super::changed(&file.path)) }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new(Reason::PublishFailed, format!("failed to pack the output: {error}"))
}

// === impl Hashing ===

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
