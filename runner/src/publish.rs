//! Output directory → manifest: what a guest left, opened as if it were out to harm us.
//!
//! A file is a regular file with one name, reached without following a link; anything else refuses the whole output. Where the files
//! go from here is in `publish/*`.

mod archive;
pub(crate) mod beside;
mod config_map;
mod contents;
pub(crate) mod ipfs;
pub mod manifest;
pub(crate) mod outputs;
pub mod s3;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crds::digest::Digest;
use crds::reason::Reason;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

pub use self::contents::Contents;
use self::manifest::{Manifest, ManifestFile};
use crate::failure::Failure;
use crate::fetch::path::safe_path;

/// Caps of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Bytes of all its files together, holes counted.
    pub bytes: u64,
    /// Files and directories.
    pub entries: u64,
}

/// Files of one output, still unread: path → size in bytes.
type Found = BTreeMap<String, u64>;

/// Opens the directory that holds an output. Its own path is ours, and may have links.
pub fn open(directory: &Path) -> Result<OwnedFd, Failure> {
    rustix::fs::openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| Failure::new(Reason::PublishFailed, format!("output directory {}: {}", directory.display(), io::Error::from(e))))
}

/// A directory in `work` that is gone with what it returns. Its name tells whose process it was, should that end before.
fn private(work: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!("{}-", std::process::id())).tempdir_in(work)
}

/// Looks at everything in `directory`, then reads and hashes it.
pub async fn collect(directory: OwnedFd, limits: OutputLimits) -> Result<Manifest, Failure> {
    let work = tokio::task::spawn_blocking(move || {
        let found = walk(directory.as_fd(), limits)?;
        hash_all(directory.as_fd(), &found)
    });
    work.await
        .unwrap_or_else(|_| Err(Failure::new(Reason::PublishFailed, "the thread that reads the output died; this is a defect of ours")))
}

/// The files below `directory`, or the first thing that must not be there. Reads no file.
fn walk(directory: BorrowedFd<'_>, limits: OutputLimits) -> Result<Found, Failure> {
    let mut found = Found::new();
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    let mut pending = vec![String::new()];
    while let Some(parent) = pending.pop() {
        let opened = open_beneath(directory, &parent, OFlags::DIRECTORY)?;
        for entry in Dir::new(opened).map_err(|e| unread(&parent, e.into()))? {
            let entry = entry.map_err(|e| unread(&parent, e.into()))?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            entries += 1;
            if entries > limits.entries {
                return Err(too_large(&format!("more than {} files and directories", limits.entries)));
            }
            let path = checked_path(&parent, entry.file_name().to_bytes())?;
            let stat = rustix::fs::statat(directory, path.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(|e| unread(&path, e.into()))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                pending.push(path);
                continue;
            }
            let size = regular_size(&path, &stat)?;
            bytes = bytes.saturating_add(size);
            if bytes > limits.bytes {
                return Err(too_large(&format!("more than {} bytes, at {path:?}", limits.bytes)));
            }
            found.insert(path, size);
        }
    }
    Ok(found)
}

/// The path of an entry, if its name can be printed, typed and stored anywhere.
fn checked_path(parent: &str, name: &[u8]) -> Result<String, Failure> {
    let name = std::str::from_utf8(name)
        .map_err(|_| unsafe_output(&format!("{:?} in {parent:?}: its name is not UTF-8", String::from_utf8_lossy(name))))?;
    let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
    match safe_path(&path) {
        Ok(_) => Ok(path),
        Err(why) => Err(unsafe_output(&format!("{path:?}: {why}"))),
    }
}

/// The size of a regular file that has no other name.
fn regular_size(path: &str, stat: &Stat) -> Result<u64, Failure> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink == 1 => return Ok(u64::try_from(stat.st_size).unwrap_or(0)),
        FileType::RegularFile => "a hard link: the file has another name",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "no regular file",
    };
    Err(unsafe_output(&format!("{path:?}: {kind}")))
}

/// Opens a path below `directory` so that no link on the way is followed, and so that a FIFO does not make us wait.
fn open_beneath(directory: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Failure> {
    let path = if path.is_empty() { "." } else { path };
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::io::retry_on_intr(|| rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)).map_err(|e| match e {
        rustix::io::Errno::LOOP | rustix::io::Errno::XDEV => unsafe_output(&format!("{path:?}: a symbolic link")),
        other => unread(path, other.into()),
    })
}

/// Opens a file that was found before, looked at once more on what was opened.
pub(crate) fn open_file(directory: BorrowedFd<'_>, path: &str, size: u64) -> Result<File, Failure> {
    let opened = open_beneath(directory, path, OFlags::empty())?;
    let stat = rustix::fs::fstat(&opened).map_err(|e| unread(path, e.into()))?;
    if regular_size(path, &stat)? != size {
        return Err(changed(path));
    }
    Ok(File::from(opened))
}

/// Hashes on as many threads as there are cores.
fn hash_all(directory: BorrowedFd<'_>, found: &Found) -> Result<Manifest, Failure> {
    let files: Vec<_> = found.iter().collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().div_ceil(8)).max(1);
    let work = || {
        let mut done = Vec::new();
        while let Some((path, size)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let digest = hash(directory, path, **size)?;
            done.push(ManifestFile { digest, path: (*path).clone(), size_bytes: **size });
        }
        Ok(done)
    };
    let mut all = Vec::with_capacity(files.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        all.extend(work()?);
        for other in others {
            let lost = || Failure::new(Reason::PublishFailed, "a thread that reads the output died; this is a defect of ours");
            all.extend(other.join().map_err(|_| lost())??);
        }
        Ok(Manifest::new(all))
    })
}

fn hash(directory: BorrowedFd<'_>, path: &str, size: u64) -> Result<Digest, Failure> {
    let mut file = open_file(directory, path, size)?.take(size + 1);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; usize::try_from(size.clamp(1, 256 << 10)).unwrap_or(256 << 10)];
    let mut read = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(got) => {
                hasher.update(&buffer[..got]);
                read += got as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unread(path, e)),
        }
    }
    if read == size { Ok(Digest::from_bytes(hasher.finalize().into())) } else { Err(changed(path)) }
}

fn unsafe_output(message: &str) -> Failure {
    Failure::new(Reason::OutputUnsafe, format!("output {message}; only plain files and directories are published"))
}

fn too_large(what: &str) -> Failure {
    Failure::new(Reason::OutputTooLarge, format!("output: {what}; raise outputs[].sizeLimit or write less"))
}

fn changed(path: &str) -> Failure {
    Failure::new(Reason::PublishFailed, format!("output {path:?}: it changed while it was read"))
}

fn unread(path: &str, error: io::Error) -> Failure {
    Failure::new(Reason::PublishFailed, format!("output {path:?}: cannot be read: {error}"))
}
