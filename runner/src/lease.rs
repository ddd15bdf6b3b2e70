//! When the work of this node must have ended: a point in time in a page that the supervisor writes and every worker watches.
//!
//! A stopped or hanging supervisor extends nothing, and what it started ends by itself (P11). Renews no lease; knows no Kubernetes.

mod page;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, Timespec, clock_gettime};

use self::page::{ReadOnly, Writable};

/// The time until which guests may run here, as nanoseconds of `CLOCK_BOOTTIME` (which goes on while the machine sleeps). Clones are
/// the same deadline.
///
/// A new one counts as passed: no guest starts before the first `extend_to`. Once it has passed, what lived before is ended for good,
/// even if the deadline is extended the next moment; guests that start after that are no part of it.
#[derive(Clone, Debug)]
pub struct Deadline {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    page: Writable,
    memory: OwnedFd,
}

/// A process's sight of a deadline that it cannot move.
#[derive(Debug)]
pub(crate) struct Watched {
    page: ReadOnly,
    /// Lapses there had been when this process came into being: one more, and it has outlived its lease.
    born_after: u64,
}

/// What lies in the page.
#[derive(Debug, Default)]
#[repr(C)]
struct Term {
    deadline: AtomicU64,
    /// How often the deadline was extended after it had passed. Raised before the deadline is.
    lapses: AtomicU64,
}

/// Now, on the clock of deadlines.
pub fn boottime_nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000);
    whole.saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

// === impl Deadline ===

impl Deadline {
    /// # Errors
    /// The kernel has no sealed memory to share (`memfd_create`, `F_SEAL_FUTURE_WRITE`), or none left.
    pub fn new() -> io::Result<Self> {
        let (page, memory) = Writable::create()?;
        Ok(Self { shared: Arc::new(Shared { page, memory }) })
    }

    /// Moves the deadline; an earlier one than there is changes nothing. Never waits.
    pub fn extend_to(&self, boottime_nanoseconds: u64) {
        let term = self.shared.page.term();
        if self.passed() {
            // First: who sees the new deadline must see that it is not the one it was born under.
            term.lapses.fetch_add(1, Ordering::SeqCst);
        }
        term.deadline.fetch_max(boottime_nanoseconds, Ordering::SeqCst);
    }

    /// Whether no guest may run now.
    pub fn passed(&self) -> bool {
        self.shared.page.term().passed()
    }

    /// How often it was extended after it had passed.
    pub(crate) fn lapses(&self) -> u64 {
        self.shared.page.term().lapses.load(Ordering::SeqCst)
    }

    /// Whether what began after so many lapses has outlived its lease.
    pub(crate) fn has_outlived(&self, born_after: u64) -> bool {
        self.passed() || self.lapses() != born_after
    }

    /// What a process needs to watch it.
    pub(crate) fn memory(&self) -> BorrowedFd<'_> {
        self.shared.memory.as_fd()
    }
}

// === impl Watched ===

impl Watched {
    /// # Errors
    /// `memory` is not what `Deadline::memory` gave.
    pub(crate) fn open(memory: &OwnedFd) -> io::Result<Self> {
        let page = ReadOnly::open(memory)?;
        let born_after = page.term().lapses.load(Ordering::SeqCst);
        Ok(Self { page, born_after })
    }

    /// The deadline, unless this process has outlived its lease.
    pub(crate) fn until(&self) -> Option<Timespec> {
        let term = self.page.term();
        // In this order: see `extend_to`.
        let deadline = term.deadline.load(Ordering::SeqCst);
        let same = term.lapses.load(Ordering::SeqCst) == self.born_after;
        (same && boottime_nanoseconds() < deadline).then(|| timespec(deadline))
    }

    /// Returns when this process has outlived its lease, and where the clock cannot be waited for.
    pub(crate) fn wait(&self) {
        while let Some(until) = self.until() {
            match rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Boottime, &until) {
                Ok(()) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

// === impl Term ===

impl Term {
    fn passed(&self) -> bool {
        boottime_nanoseconds() >= self.deadline.load(Ordering::SeqCst)
    }
}

fn timespec(nanoseconds: u64) -> Timespec {
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).expect("a billionth of u64::MAX fits");
    Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanoseconds % 1_000_000_000).expect("less than a billion") }
}

#[cfg(test)]
mod tests;
