//! The supervisor's workers: one handed an order at a time, from a zygote that is started anew where it has ended.
//!
//! A worker is used once. What a worker tells is told by `Working`; how its guest did is decided in `execute`.

mod crew;
mod roll;
mod worker;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crds::reason::Reason;

use self::crew::Crew;
pub(crate) use self::crew::Refill;
use self::roll::Roll;
pub(crate) use self::roll::{Loss, Standing};
use self::worker::Worker;
pub(crate) use self::worker::{Exited, Working};
use crate::failure::Failure;
use crate::lease::Deadline;
use crate::order::Order;
use crate::walls::Raised;

/// Workers, and with them zygotes, that one order is tried with: each may have died while it was idle.
const MOST_TRIES: u32 = 3;
/// Longest time for an order to get through to a worker; only a machine in trouble takes it.
const HANDING_OVER: Duration = Duration::from_mins(1);

/// Every worker of this runner.
#[derive(Debug)]
pub(crate) struct Workers {
    idle: usize,
    lease: Option<Deadline>,
    raised: Result<Raised, Failure>,
    crew: Mutex<Option<Arc<Crew>>>,
    roll: Arc<Roll>,
}

// === impl Workers ===

impl Workers {
    /// Starts a zygote with `idle` workers, unless the lease has passed: then the first order after its renewal does. Where the walls
    /// that are to be raised are not all there, no worker ever is.
    ///
    /// # Errors
    /// This executable cannot be started again: `role::enter` must be the first line of its `main`.
    pub(crate) fn start(idle: usize, lease: Option<Deadline>, raised: Result<Raised, Failure>) -> io::Result<Self> {
        let roll = Arc::new(Roll::new(lease.clone()));
        let workers = Self { idle, lease, raised, crew: Mutex::default(), roll };
        if let Ok(raised) = workers.raised
            && workers.lease.as_ref().is_none_or(|lease| !lease.passed())
        {
            workers.crew(raised)?;
        }
        Ok(workers)
    }

    /// The walls around what runs here.
    ///
    /// # Errors
    /// `SandboxUnavailable`: nothing runs here.
    pub(crate) fn walls(&self) -> Result<Raised, Failure> {
        self.raised.clone()
    }

    /// What an attempt that begins now has.
    pub(crate) fn standing(&self) -> Standing {
        self.roll.standing()
    }

    /// Kills every worker that has an order; attempts that stand now get no other.
    pub(crate) fn kill_all(&self) {
        self.roll.kill_all();
    }

    /// Hands the order to an idle worker. Drop `Refill` to have another one made in its place.
    ///
    /// # Errors
    /// The attempt's standing is lost, or this machine has no worker.
    pub(crate) async fn begin(
        &self,
        standing: &Standing,
        order: &Order,
        begun: u64,
        descriptors: [BorrowedFd<'_>; 4],
    ) -> Result<(Working, Refill), Failure> {
        let hand_over = async {
            for _ in 0..MOST_TRIES {
                let Some((worker, refill)) = self.take(standing).await? else { continue };
                let entry = self.roll.enter(standing, worker.kill()).map_err(Loss::failure)?;
                match worker.work(order, begun, descriptors, entry).await {
                    Ok(working) => return Ok((working, refill)),
                    // It never had the whole order: another one may.
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(no_worker(&error)),
                }
            }
            Err(no_worker(&io::Error::other("workers end before they get an order; is there memory left?")))
        };
        tokio::select! {
            begun = tokio::time::timeout(HANDING_OVER, hand_over) => {
                begun.unwrap_or_else(|_| Err(no_worker(&io::Error::other("none took the order within a minute; is this machine overloaded?"))))
            }
            loss = standing.killed() => Err(loss.failure()),
        }
    }

    /// An idle worker; `None` where the zygote ended meanwhile.
    async fn take(&self, standing: &Standing) -> Result<Option<(Worker, Refill)>, Failure> {
        // Before a zygote is started that would end at once.
        if let Some(loss) = standing.lost() {
            return Err(loss.failure());
        }
        let crew = self.crew(self.walls()?).map_err(|error| no_worker(&error))?;
        crew.take().await.transpose().map_err(|error| no_worker(&error))
    }

    /// The crew at hand; a new one where there is none, or its zygote has ended or is about to, with a lease that lapsed.
    fn crew(&self, raised: Raised) -> io::Result<Arc<Crew>> {
        let lapses = self.lease.as_ref().map_or(0, Deadline::lapses);
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(crew) = crew.as_ref().filter(|crew| !crew.is_gone() && crew.lapses == lapses) {
            return Ok(Arc::clone(crew));
        }
        *crew = None;
        let started = Crew::start(self.idle, self.lease.as_ref(), raised)?;
        *crew = Some(Arc::clone(&started));
        Ok(started)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}

fn no_worker(error: &io::Error) -> Failure {
    Failure::new(Reason::WorkerKilled, format!("failed to find a worker for the guest: {error}"))
}
