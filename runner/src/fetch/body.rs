//! Bytes from a server → a blob: caps and pace while they stream, hashing and writing beside the receiving, never behind it.
//!
//! Two blocking threads take the same bytes, one hashes, one writes, so that on two cores the slowest of receiving, hashing and writing
//! decides, not their sum. What is in flight between them is bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crds::digest::Digest;
use crds::reason::Reason;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::retry::Setback;
use super::{FetchLimits, Progress};
use crate::failure::{Failure, chain};
use crate::store::{self, Blob, BlobWriter, FinishError, Spool, Store};

/// Bytes received but not yet hashed and written, at most.
const IN_FLIGHT: u32 = 4 << 20;
/// Up to this many bytes are collected before threads are started: most modules are done by then.
const SMALL: u64 = 256 << 10;

/// Takes the bytes of one file as they come.
pub(crate) struct Intake<'a> {
    store: &'a Store,
    max_bytes: u64,
    received: u64,
    progress: Counted<'a>,
    stage: Stage,
}

enum Stage {
    Small(Vec<Bytes>),
    Piped(Pipe),
}

/// Dropped unfinished, its threads run dry and the temporary file goes.
struct Pipe {
    room: Room,
    to_hash: mpsc::UnboundedSender<Chunk>,
    to_write: mpsc::UnboundedSender<Chunk>,
    hash: JoinHandle<Sha256>,
    write: JoinHandle<Result<Spool, store::Error>>,
}

/// Bytes, and the room that they take until both threads are done with them.
#[derive(Clone)]
struct Chunk {
    bytes: Bytes,
    _room: Arc<OwnedSemaphorePermit>,
}

/// Room for bytes on their way to the disk.
pub(super) struct Room(Arc<Semaphore>);

/// What this try has added to somebody's progress; taken back unless the try succeeds.
pub(super) struct Counted<'a> {
    progress: &'a Progress,
    added: AtomicU64,
}

/// Watches a server's pace. Only the time spent waiting for it counts, not the time our disk takes.
pub(crate) struct Pace {
    idle_timeout: Duration,
    min_bytes_per_second: u64,
    window: Duration,
    waited: Duration,
    bytes: u64,
}

// === impl Intake ===

impl<'a> Intake<'a> {
    pub(crate) fn new(store: &'a Store, max_bytes: u64, progress: &'a Progress) -> Self {
        Self { store, max_bytes, received: 0, progress: Counted::new(progress), stage: Stage::Small(Vec::new()) }
    }

    /// Takes the next bytes of the file. `what` names it for messages.
    pub(crate) async fn push(&mut self, bytes: Bytes, what: &str) -> Result<(), Failure> {
        self.received += bytes.len() as u64;
        if self.received > self.max_bytes {
            return Err(too_large(what, self.max_bytes));
        }
        self.progress.add(bytes.len() as u64);
        if let Stage::Small(chunks) = &mut self.stage {
            if self.received <= SMALL {
                chunks.push(bytes);
                return Ok(());
            }
            let collected = std::mem::take(chunks);
            self.stage = Stage::Piped(Pipe::start(self.store.writer().map_err(|e| not_kept(what, &e))?));
            for chunk in collected {
                self.pipe(chunk, what).await?;
            }
        }
        self.pipe(bytes, what).await
    }

    async fn pipe(&mut self, bytes: Bytes, what: &str) -> Result<(), Failure> {
        let Stage::Piped(pipe) = &self.stage else { return Ok(()) };
        if pipe.push(bytes).await {
            return Ok(());
        }
        match std::mem::replace(&mut self.stage, Stage::Small(Vec::new())) {
            Stage::Piped(pipe) => Err(match pipe.drain().await {
                Ok(Err(error)) => not_kept(what, &error),
                Ok(Ok(_)) | Err(_) => thread_died(what),
            }),
            Stage::Small(_) => Ok(()),
        }
    }

    /// All bytes are here: they become a blob if they are what was expected.
    pub(crate) async fn finish(self, expected: Option<&Digest>, what: &str) -> Result<Blob, Failure> {
        let expected = expected.copied();
        let lost = |_| thread_died(what);
        let kept = match self.stage {
            Stage::Small(chunks) => {
                let store = self.store.clone();
                tokio::task::spawn_blocking(move || {
                    let mut writer = store.writer().map_err(FinishError::Store)?;
                    chunks.iter().try_for_each(|bytes| writer.write(bytes)).map_err(FinishError::Store)?;
                    finish(writer, expected)
                })
                .await
                .map_err(lost)?
            }
            Stage::Piped(pipe) => {
                let writer = pipe.drain().await.map_err(lost)?.map_err(|e| not_kept(what, &e))?;
                tokio::task::spawn_blocking(move || finish(writer, expected)).await.map_err(lost)?
            }
        };
        let blob = kept.map_err(|error| no_blob(what, error))?;
        self.progress.keep();
        Ok(blob)
    }
}

pub(super) fn finish(writer: BlobWriter, expected: Option<Digest>) -> Result<Blob, FinishError> {
    match expected {
        Some(expected) => writer.finish_as(&expected),
        None => writer.finish().map_err(FinishError::Store),
    }
}

pub(crate) fn too_large(what: &str, max_bytes: u64) -> Failure {
    Failure::new(Reason::FetchTooLarge, format!("{what}: larger than the {max_bytes} bytes that are allowed"))
}

pub(crate) fn mismatch(what: &str, expected: &Digest, got: &Digest) -> Failure {
    Failure::new(
        Reason::DigestMismatch,
        format!("{what}: expected digest {expected}, got {got}; set digest to the second if that is the file you mean"),
    )
}

/// Why the bytes did not become a blob.
pub(super) fn no_blob(what: &str, error: FinishError) -> Failure {
    match error {
        FinishError::Mismatch { expected, got } => mismatch(what, &expected, &got),
        FinishError::Store(error) => not_kept(what, &error),
    }
}

pub(super) fn not_kept(what: &str, error: &store::Error) -> Failure {
    Failure::new(Reason::FetchFailed, format!("{what}: {}", chain(error)))
}

pub(super) fn thread_died(what: &str) -> Failure {
    Failure::new(Reason::FetchFailed, format!("{what}: the thread that keeps its bytes died; this is a defect of ours"))
}

// === impl Pipe ===

impl Pipe {
    fn start(writer: BlobWriter) -> Self {
        let (mut spool, mut hasher) = writer.into_halves();
        let (to_hash, mut for_hashing) = mpsc::unbounded_channel::<Chunk>();
        let (to_write, mut for_writing) = mpsc::unbounded_channel::<Chunk>();
        let hash = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = for_hashing.blocking_recv() {
                hasher.update(&chunk.bytes);
            }
            hasher
        });
        let write = tokio::task::spawn_blocking(move || {
            while let Some(chunk) = for_writing.blocking_recv() {
                spool.append(&chunk.bytes)?;
            }
            Ok(spool)
        });
        Self { room: Room::new(), to_hash, to_write, hash, write }
    }

    /// Hands the bytes on when there is room for them; false when a thread has hung up, which `drain` explains.
    async fn push(&self, bytes: Bytes) -> bool {
        let room = Arc::new(self.room.take(&bytes).await);
        let chunk = Chunk { bytes, _room: room };
        self.to_hash.send(chunk.clone()).is_ok() && self.to_write.send(chunk).is_ok()
    }

    async fn drain(self) -> Result<Result<BlobWriter, store::Error>, tokio::task::JoinError> {
        drop((self.to_hash, self.to_write));
        let (hasher, spool) = (self.hash.await?, self.write.await?);
        Ok(spool.map(|spool| BlobWriter::from_halves(spool, hasher)))
    }
}

// === impl Room ===

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(IN_FLIGHT as usize)))
    }

    /// Waits until there is room for them, and takes it until the answer is dropped. More than all there is takes all.
    pub(super) async fn take(&self, bytes: &Bytes) -> OwnedSemaphorePermit {
        let size = u32::try_from(bytes.len()).unwrap_or(IN_FLIGHT).min(IN_FLIGHT);
        Arc::clone(&self.0).acquire_many_owned(size).await.expect("nobody closes this semaphore")
    }
}

// === impl Counted ===

impl<'a> Counted<'a> {
    pub(super) fn new(progress: &'a Progress) -> Self {
        Self { progress, added: AtomicU64::new(0) }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.added.fetch_add(bytes, Ordering::Relaxed);
        self.progress.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn keep(self) {
        self.added.store(0, Ordering::Relaxed);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.progress.fetched_bytes.fetch_sub(self.added.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

// === impl Pace ===

impl Pace {
    pub(crate) fn new(limits: &FetchLimits) -> Self {
        Self {
            idle_timeout: limits.idle_timeout,
            min_bytes_per_second: limits.min_bytes_per_second,
            window: limits.rate_window,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// What the server sends next, if it comes in time.
    pub(crate) async fn wait<T>(&mut self, next: impl Future<Output = T>, what: &str) -> Result<T, Setback> {
        let begin = Instant::now();
        let answer = tokio::time::timeout(self.idle_timeout, next).await.map_err(|_| {
            Setback::passing(Reason::FetchTimeout, format!("{what}: the server was silent for {} s", self.idle_timeout.as_secs_f32()))
        })?;
        self.waited += begin.elapsed();
        Ok(answer)
    }

    /// Counts what came; fails when too little has come in the last window.
    pub(crate) fn count(&mut self, bytes: usize, what: &str) -> Result<(), Setback> {
        self.bytes += bytes as u64;
        if self.waited < self.window {
            return Ok(());
        }
        let rate = self.bytes.checked_div(self.waited.as_secs().max(1)).unwrap_or(0);
        if rate < self.min_bytes_per_second {
            return Err(Setback::passing(
                Reason::FetchTimeout,
                format!("{what}: {rate} bytes/s, less than the {} bytes/s that are waited for", self.min_bytes_per_second),
            ));
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}
