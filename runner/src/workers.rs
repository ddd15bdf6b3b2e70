//! The supervisor's side of the zygote: idle workers kept ready, orders handed to them, their ends learned.
//!
//! Parses nothing but our own protocol, bounded. A worker is used once.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::{mpsc, oneshot};

use crate::order::{Birth, Event, ExitStatus, Order, receive, send};
use crate::role;
use crate::zygote::ForkRequest;

/// The zygote and its idle workers.
#[derive(Debug)]
pub(crate) struct Workers {
    requests: Arc<OwnedFd>,
    idle: tokio::sync::Mutex<mpsc::UnboundedReceiver<io::Result<Worker>>>,
    zygote: Mutex<Child>,
}

/// A worker that waits for its order.
#[derive(Debug)]
pub(crate) struct Worker {
    socket: OwnedFd,
    pidfd: Arc<OwnedFd>,
    exited: oneshot::Receiver<Exited>,
}

/// A worker that has its order.
#[derive(Debug)]
pub(crate) struct Working {
    /// What it tells; closed when it is gone.
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) kill: Kill,
    pub(crate) exited: oneshot::Receiver<Exited>,
}

/// Kills one worker, at any time, at once.
#[derive(Clone, Debug)]
pub(crate) struct Kill(Arc<OwnedFd>);

/// Asks for one more worker when dropped.
#[derive(Debug)]
pub(crate) struct Refill<'a>(&'a OwnedFd);

/// A worker's end, as the zygote reaped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exited {
    pub(crate) status: ExitStatus,
    pub(crate) cpu_milliseconds: u64,
    pub(crate) peak_resident_bytes: u64,
}

// === impl Workers ===

impl Workers {
    /// Starts the zygote and asks it for `idle` workers.
    ///
    /// # Errors
    /// This executable cannot be started again: `role::enter` must be the first line of its `main`.
    pub(crate) fn start(idle: usize) -> io::Result<Self> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
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
        let requests = Arc::new(ours);
        let (sender, receiver) = mpsc::unbounded_channel();
        let births = Arc::clone(&requests);
        std::thread::Builder::new().name("births".to_owned()).spawn(move || register(&births, &sender))?;
        for _ in 0..idle.max(1) {
            send(&*requests, &ForkRequest, &[])?;
        }
        Ok(Self { requests, idle: tokio::sync::Mutex::new(receiver), zygote: Mutex::new(zygote) })
    }

    /// An idle worker. Another one is asked for in its place when `Refill` is dropped, which is at once where there is none.
    pub(crate) async fn take(&self) -> io::Result<(Worker, Refill<'_>)> {
        let worker = self.idle.lock().await.recv().await.unwrap_or_else(|| Err(gone()));
        let refill = Refill(&self.requests);
        Ok((worker?, refill))
    }
}

impl Drop for Workers {
    /// Ends the zygote, and with it every worker.
    fn drop(&mut self) {
        let mut zygote = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = zygote.kill();
        let _ = zygote.wait();
    }
}

fn gone() -> io::Error {
    io::Error::other("the zygote is gone; start this program again")
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
                let _ = idle.send(Ok(Worker { socket, pidfd: Arc::new(pidfd), exited }));
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

impl Drop for Refill<'_> {
    fn drop(&mut self) {
        // Where the zygote is gone, the next one to take a worker learns it.
        let _ = send(self.0, &ForkRequest, &[]);
    }
}

// === impl Worker ===

impl Worker {
    /// Hands it its order, with the compiled module and the three streams. The guest's coming into being is timed from `begun`, in
    /// microseconds of the monotonic clock.
    pub(crate) fn work(self, order: &Order, begun: u64, descriptors: [BorrowedFd<'_>; 4]) -> io::Result<Working> {
        send(&self.socket, &(order, begun), &descriptors)?;
        let (sender, events) = mpsc::unbounded_channel();
        let socket = self.socket;
        std::thread::Builder::new().name("events".to_owned()).spawn(move || {
            while let Ok(Some((event, _))) = receive::<Event>(socket.as_fd()) {
                if sender.send(event).is_err() {
                    break;
                }
            }
        })?;
        Ok(Working { events, kill: Kill(self.pidfd), exited: self.exited })
    }
}

// === impl Kill ===

impl Kill {
    pub(crate) fn now(&self) {
        // Gone already is as good.
        let _ = pidfd_send_signal(&*self.0, Signal::KILL);
    }
}
