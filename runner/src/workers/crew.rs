//! The supervisor's side of one zygote: idle workers kept ready, their ends learned. Ends for good with its zygote.
//!
//! Parses nothing but our own protocol, bounded.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::sync::{mpsc, oneshot};

use super::worker::{Exited, Worker};
use crate::lease::Deadline;
use crate::order::{Birth, receive, send};
use crate::role;
use crate::walls::Raised;
use crate::zygote::{ForkRequest, Opening};

/// A zygote and its idle workers.
#[derive(Debug)]
pub(super) struct Crew {
    requests: OwnedFd,
    idle: tokio::sync::Mutex<mpsc::UnboundedReceiver<io::Result<Worker>>>,
    zygote: Mutex<Child>,
    gone: Arc<AtomicBool>,
    /// Of the lease, when it was started.
    pub(super) lapses: u64,
}

/// Asks for one more worker when dropped.
#[derive(Debug)]
pub(crate) struct Refill(Arc<Crew>);

// === impl Crew ===

impl Crew {
    /// Starts the zygote and asks it for `idle` workers.
    ///
    /// # Errors
    /// This executable cannot be started again: `role::enter` must be the first line of its `main`.
    pub(super) fn start(idle: usize, lease: Option<&Deadline>, raised: Raised) -> io::Result<Arc<Self>> {
        let lapses = lease.map_or(0, Deadline::lapses);
        let (requests, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let births = requests.as_fd().try_clone_to_owned()?;
        // Its own session: a signal from the user's terminal is the supervisor's to handle. Nothing of our environment goes with it.
        let zygote = Command::new("/proc/self/exe")
            .arg0(role::ZYGOTE)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let gone = Arc::new(AtomicBool::new(false));
        let told_gone = Arc::clone(&gone);
        let idle_workers = tokio::sync::Mutex::new(receiver);
        // From here on its drop ends the zygote.
        let crew = Arc::new(Self { requests, idle: idle_workers, zygote: Mutex::new(zygote), gone, lapses });
        std::thread::Builder::new().name("births".to_owned()).spawn(move || {
            register(&births, &sender);
            told_gone.store(true, Ordering::SeqCst);
        })?;
        let watched: Vec<_> = lease.map(Deadline::memory).into_iter().collect();
        send(&crew.requests, &Opening { is_leased: lease.is_some(), raised }, &watched)?;
        for _ in 0..idle.max(1) {
            send(&crew.requests, &ForkRequest, &[])?;
        }
        Ok(crew)
    }

    /// Whether its zygote has ended, as far as is known.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// An idle worker, `None` when the zygote is gone. Another one is asked for in its place when `Refill` is dropped, which is at once
    /// where there is none.
    pub(super) async fn take(self: Arc<Self>) -> Option<io::Result<(Worker, Refill)>> {
        let worker = self.idle.lock().await.recv().await?;
        let refill = Refill(self);
        Some(worker.map(|worker| (worker, refill)))
    }
}

impl Drop for Crew {
    /// Ends the zygote, and with it every worker.
    fn drop(&mut self) {
        let zygote = self.zygote.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = zygote.kill();
        let _ = zygote.wait();
    }
}

/// Turns what the zygote tells into idle workers and ends, until it is gone.
fn register(births: &OwnedFd, idle: &mpsc::UnboundedSender<io::Result<Worker>>) {
    let mut waiting: HashMap<i32, oneshot::Sender<Exited>> = HashMap::new();
    while let Ok(Some((birth, descriptors))) = receive::<Birth>(births) {
        match birth {
            Birth::Ready { pid } => {
                let Ok([socket, pidfd]) = <[OwnedFd; 2]>::try_from(descriptors) else { break };
                let (sender, exited) = oneshot::channel();
                waiting.insert(pid, sender);
                // Nobody takes workers any more when the receiver is gone: dropping this one ends it.
                let _ = idle.send(Ok(Worker::new(socket, pidfd, exited)));
            }
            Birth::Exited { pid, status, cpu_milliseconds, peak_resident_bytes } => {
                if let Some(sender) = waiting.remove(&pid) {
                    // Nobody waits for the end of a worker that was dropped.
                    let _ = sender.send(Exited { status, cpu_milliseconds, peak_resident_bytes });
                }
            }
            Birth::NotForked(error) => {
                let _ = idle.send(Err(io::Error::other(format!("no worker could be started: {error}"))));
            }
        }
    }
}

impl Drop for Refill {
    fn drop(&mut self) {
        // Where the zygote is gone, the next one to take a worker learns it.
        let _ = send(&self.0.requests, &ForkRequest, &[]);
    }
}
