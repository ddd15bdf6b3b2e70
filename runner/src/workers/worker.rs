//! One worker as the supervisor sees it: idle, then at work, then ended.
//!
//! What comes from a worker at work is hostile: frames are bounded, read no faster than they are used, and carry no descriptors.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::time::Timespec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::roll::Entry;
use crate::order::{Event, ExitStatus, Order, frame, send_first, take_frame};

/// How long a worker may take to end that was killed with its zygote.
const ORPHANS_END: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// Bytes of events that are read at once.
const READ_BYTES: usize = 4 << 10;

/// A worker that waits for its order.
#[derive(Debug)]
pub(super) struct Worker {
    socket: OwnedFd,
    leash: Leash,
    exited: oneshot::Receiver<Exited>,
}

/// A worker that has its order.
#[derive(Debug)]
pub(crate) struct Working {
    line: UnixStream,
    received: Vec<u8>,
    leash: Leash,
    exited: oneshot::Receiver<Exited>,
    _entry: Entry,
}

/// Kills one worker, at any time, at once.
#[derive(Clone, Debug)]
pub(super) struct Kill(Arc<OwnedFd>);

/// Kills when dropped: whatever happens to who holds it, no worker outlives that.
#[derive(Debug)]
struct Leash(Kill);

/// A worker's end, as the zygote reaped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exited {
    pub(crate) status: ExitStatus,
    pub(crate) cpu_milliseconds: u64,
    pub(crate) peak_resident_bytes: u64,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(socket: OwnedFd, pidfd: OwnedFd, exited: oneshot::Receiver<Exited>) -> Self {
        Self { socket, leash: Leash(Kill(Arc::new(pidfd))), exited }
    }

    pub(super) fn kill(&self) -> Kill {
        self.leash.0.clone()
    }

    /// Hands it its order, with the compiled module and the three streams. The guest's coming into being is timed from `begun`, in
    /// microseconds of the monotonic clock.
    pub(super) async fn work(self, order: &Order, begun: u64, descriptors: [BorrowedFd<'_>; 4], entry: Entry) -> io::Result<Working> {
        let frame = frame(&(order, begun))?;
        let socket = StdUnixStream::from(self.socket);
        socket.set_nonblocking(true)?;
        let sent = send_first(&socket, &frame, &descriptors)?;
        let mut line = UnixStream::from_std(socket)?;
        line.write_all(&frame[sent..]).await?;
        Ok(Working { line, received: Vec::new(), leash: self.leash, exited: self.exited, _entry: entry })
    }
}

// === impl Working ===

impl Working {
    /// What it tells next; `None` when it is gone, and when it tells what no worker of ours would. May be dropped and called again.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = take_frame(&mut self.received).ok()? {
                return Some(event);
            }
            self.received.reserve(READ_BYTES);
            if !matches!(self.line.read_buf(&mut self.received).await, Ok(1..)) {
                return None;
            }
        }
    }

    pub(crate) fn kill(&self) {
        self.leash.0.now();
    }

    /// Waits until its process is no more; `None` where nobody reaped it, because its zygote ended first and took it along.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) async fn ended(self) -> io::Result<Option<Exited>> {
        if let Ok(exited) = self.exited.await {
            return Ok(Some(exited));
        }
        let process = Arc::clone(&self.leash.0.0);
        let ended = tokio::task::spawn_blocking(move || {
            rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&ORPHANS_END)))
        });
        match ended.await?? {
            0 => Err(io::Error::other("the worker was killed and does not end")),
            _ => Ok(None),
        }
    }
}

// === impl Kill ===

impl Kill {
    pub(super) fn now(&self) {
        // Gone already is as good.
        let _ = pidfd_send_signal(&*self.0, Signal::KILL);
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.now();
    }
}
