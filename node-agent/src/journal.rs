//! What was started here and how it ended, on disk, so that a restart loses no ending and starts nothing twice (P12).
//!
//! An append-only file with one record per line, each with its checksum. One thread writes it, as many records at a time as have gathered.
//! Nothing waits for the disk: what is written outlives the process, and a machine that has been down since is told by its other boot
//! (`docs/decisions/0008-the-journal-waits-for-no-disk.md`). It advises: safety stands on what an agent finds in its first read and never
//! starts. Without a journal every ending is counted as if it had run, no worse.

mod file;
mod index;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::node::AssignmentReport;
use tokio::sync::oneshot;
use tracing::warn;

use self::file::JournalFile;
use self::index::Index;
use self::record::Record;

/// How many ended fences are kept, with their reports (P12).
const KEPT: usize = 10_000;

/// Another one after each start of the machine; `random(4)`.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Between tries to write what the disk did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// The journal of this agent. Clones are the same journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    sender: Sender<Order>,
}

#[derive(Debug)]
struct Shared {
    index: Mutex<Index>,
    boot: Boot,
    /// Whether what is not in it was not started.
    complete: AtomicBool,
    /// Whether the last write went well.
    writable: AtomicBool,
}

/// The machine's boot in which the journal was complete, on disk beside it: what another one left may lack what the disk did not have yet.
#[derive(Debug)]
struct Boot {
    this: Vec<u8>,
    path: PathBuf,
}

/// What the journal knows of a fence.
#[derive(Clone, Debug, PartialEq)]
pub enum Past {
    /// It has ended, with this report. Never start it.
    Ended(Box<AssignmentReport>),
    /// It was started.
    Started,
    /// It was not started.
    NotStarted,
    /// There is no journal to tell.
    Unknown,
}

/// A record to write, or none: then what came before makes the journal complete. Told when it is written, where somebody waits for that.
struct Order {
    record: Option<Record>,
    written: Option<oneshot::Sender<bool>>,
}

/// The disk did not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to write the journal")]
pub(crate) struct NotWritten;

// === impl Journal ===

impl Journal {
    /// Opens the journal in `directory`. One that cannot be read is put aside and counts as none.
    ///
    /// # Errors
    /// No file can be created there.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join("journal");
        let boot = Boot { this: fs::read(BOOT)?, path: directory.join("journal.boot") };
        let (file, index, complete) = match JournalFile::open(&path) {
            Ok(Some((file, scan))) => (file, scan.index, scan.complete),
            Ok(None) => (JournalFile::create(&path)?, Index::default(), false),
            Err(error) => {
                warn!(%error, "failed to read the journal; beginning a new one");
                // For whoever wants to know what was in it; there may be none that can be renamed.
                let _ = fs::rename(&path, directory.join("journal.unreadable"));
                (JournalFile::create(&path)?, Index::default(), false)
            }
        };
        let complete = complete && boot.is_same();
        if !complete {
            boot.forget()?;
        }
        let shared =
            Arc::new(Shared { index: Mutex::new(index), boot, complete: AtomicBool::new(complete), writable: AtomicBool::new(true) });
        let (sender, receiver) = channel();
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || write_all(file, &of_thread, &receiver))?;
        Ok(Self { shared, sender })
    }

    /// Returns when it is written that the fence was started. Before that no guest may start.
    pub(crate) async fn started(&self, id: &str, fence: &str) -> Result<(), NotWritten> {
        let (sender, written) = oneshot::channel();
        let record = Record { fence: fence.to_owned(), id: id.to_owned(), report: None };
        self.sender.send(Order { record: Some(record), written: Some(sender) }).map_err(|_| NotWritten)?;
        if written.await == Ok(true) { Ok(()) } else { Err(NotWritten) }
    }

    /// Remembers how the fence ended; written soon.
    pub(crate) fn ended(&self, id: &str, report: &AssignmentReport) {
        let report = Arc::new(report.clone());
        self.index().ended(&report.fence, index::Place::Memory(Arc::clone(&report)));
        let record = Record { fence: report.fence.clone(), id: id.to_owned(), report: Some(report) };
        // The thread ends with the process only.
        let _ = self.sender.send(Order { record: Some(record), written: None });
    }

    /// What is known of a fence.
    pub(crate) fn past(&self, fence: &str) -> Past {
        let index = self.index();
        match index.report(fence) {
            Some(report) => Past::Ended(report),
            None if index.is_started(fence) => Past::Started,
            None if self.shared.complete.load(Ordering::Relaxed) => Past::NotStarted,
            None => Past::Unknown,
        }
    }

    /// Whether a fence has ended; cheaper than `past`.
    pub(crate) fn has_ended(&self, fence: &str) -> bool {
        self.index().has_ended(fence)
    }

    /// Everything that could have been started before is known by now: from here on, what is not in it was not started.
    pub(crate) fn completed(&self) {
        self.shared.complete.store(true, Ordering::Relaxed);
        let _ = self.sender.send(Order { record: None, written: None });
    }

    /// Whether the disk took the last record.
    pub(crate) fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Relaxed)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.shared.index()
    }
}

impl Boot {
    fn is_same(&self) -> bool {
        fs::read(&self.path).is_ok_and(|written| written == self.this)
    }

    fn remember(&self) -> io::Result<()> {
        fs::write(&self.path, &self.this)
    }

    fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread: writes what has gathered, and tells those who wait. Endings that the disk does not take are tried again, which also finds out
/// when it takes them: nothing else would, since nothing is started until then.
fn write_all(mut file: JournalFile, shared: &Shared, orders: &Receiver<Order>) {
    let mut left = Vec::new();
    while let Some(group) = gather(orders, std::mem::take(&mut left)) {
        let written = file.append(group.iter().filter_map(|order| order.record.as_ref()));
        let was_writable = shared.writable.swap(written.is_ok(), Ordering::Relaxed);
        match &written {
            Ok(places) => {
                let mut index = shared.index();
                for (record, place) in group.iter().filter_map(|order| order.record.as_ref()).zip(places) {
                    index.written(record, place);
                }
                drop(index);
                if group.iter().any(|order| order.record.is_none())
                    && let Err(error) = shared.boot.remember()
                {
                    warn!(%error, "failed to write the journal's boot: after a restart it counts as incomplete");
                }
            }
            Err(error) if was_writable => warn!(%error, "failed to write the journal: nothing is started until it can be written"),
            Err(_) => {}
        }
        for mut order in group {
            match order.written.take() {
                // Whoever does not wait any more does not need it.
                Some(told) => drop(told.send(written.is_ok())),
                None if written.is_err() => left.push(order),
                None => {}
            }
        }
        left.drain(..left.len().saturating_sub(KEPT));
        if written.is_ok() && file.wants_compaction(&shared.index()) {
            compact(&mut file, shared);
        }
    }
}

/// What is to be written next, after what is left; it waits for more, though not for ever if something is left. `None`: nobody writes any
/// more.
fn gather(orders: &Receiver<Order>, mut left: Vec<Order>) -> Option<Vec<Order>> {
    if left.is_empty() {
        left.push(orders.recv().ok()?);
    } else {
        match orders.recv_timeout(AGAIN) {
            Ok(order) => left.push(order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    left.extend(orders.try_iter());
    Some(left)
}

/// Only this thread writes: nothing is appended meanwhile, and nobody else waits for the disk.
fn compact(file: &mut JournalFile, shared: &Shared) {
    let counts = shared.index().snapshot();
    match file.compacted(&counts) {
        Ok((new, lines)) => {
            *file = new;
            let mut index = shared.index();
            for ((fence, _), line) in counts.ended.iter().zip(lines) {
                index.moved(fence, line);
            }
        }
        Err(error) => warn!(%error, "failed to compact the journal; it goes on growing"),
    }
}

#[cfg(test)]
mod tests;
