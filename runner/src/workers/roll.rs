//! Who is at work, so that all of them can be killed at once; and what an attempt needs to have a guest at all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::reason::Reason;
use tokio::sync::watch;

use super::worker::Kill;
use crate::failure::Failure;
use crate::lease::Deadline;

/// Every worker that has its order.
#[derive(Debug)]
pub(super) struct Roll {
    live: Mutex<Live>,
    kills: watch::Sender<()>,
    lease: Option<Deadline>,
}

#[derive(Debug, Default)]
struct Live {
    last: u64,
    workers: HashMap<u64, Kill>,
}

/// A worker's place on the roll, until dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    roll: Arc<Roll>,
    number: u64,
}

/// What an attempt has from its beginning until this node gives it up.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    kills: watch::Receiver<()>,
    lease: Option<Deadline>,
    lapses: u64,
}

/// Why an attempt may have no guest any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything was killed at once.
    Killed,
    /// The lease ended, even if it was renewed after.
    Lapsed,
}

// === impl Roll ===

impl Roll {
    pub(super) fn new(lease: Option<Deadline>) -> Self {
        Self { live: Mutex::default(), kills: watch::Sender::new(()), lease }
    }

    pub(super) fn standing(&self) -> Standing {
        let lapses = self.lease.as_ref().map_or(0, Deadline::lapses);
        Standing { kills: self.kills.subscribe(), lease: self.lease.clone(), lapses }
    }

    /// Puts a worker on the roll that has no order yet.
    pub(super) fn enter(self: &Arc<Self>, standing: &Standing, worker: Kill) -> Result<Entry, Loss> {
        let mut live = self.live();
        // Under the lock: whoever kills all either finds this worker on the roll or is seen here.
        if let Some(loss) = standing.lost() {
            return Err(loss);
        }
        live.last += 1;
        let number = live.last;
        live.workers.insert(number, worker);
        Ok(Entry { roll: Arc::clone(self), number })
    }

    /// Ends the standing of all attempts, and kills.
    pub(super) fn kill_all(&self) {
        let live = self.live();
        self.kills.send_replace(());
        live.workers.values().for_each(Kill::now);
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.roll.live().workers.remove(&self.number);
    }
}

// === impl Standing ===

impl Standing {
    pub(crate) fn lost(&self) -> Option<Loss> {
        // An error means that the runner is no more.
        if self.kills.has_changed().unwrap_or(true) {
            return Some(Loss::Killed);
        }
        self.lease.as_ref().is_some_and(|lease| lease.has_outlived(self.lapses)).then_some(Loss::Lapsed)
    }

    /// Returns when everything was killed.
    pub(crate) async fn killed(&self) -> Loss {
        let _ = self.kills.clone().changed().await;
        Loss::Killed
    }
}

// === impl Loss ===

impl Loss {
    pub(crate) fn failure(self) -> Failure {
        let message = match self {
            Self::Killed => "everything that ran on this machine was killed at once",
            Self::Lapsed => "this node's lease has ended, and with it everything that ran here",
        };
        Failure::new(Reason::WorkerKilled, message)
    }
}
