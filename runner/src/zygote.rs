//! The process that workers are forked from: one thread, no network, no environment, the runtime already in memory, and the seccomp filter
//! that all workers inherit already raised.
//!
//! It forks a worker for each request, hands the worker's socket and pidfd to the supervisor, and reaps. It never sees an order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};

use crate::lease::Watched;
use crate::order::{Birth, receive, send};
use crate::process::{Forked, fork, reap};
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, engine};
use crate::sandbox::run::Host;
use crate::walls::{self, Raised};
use crate::worker;

/// Longest time that the supervisor may leave full the line on which it is told.
const TELLING: Duration = Duration::from_secs(5);

/// A request for one more worker; what a supervisor says from then on.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ForkRequest;

/// The first thing that a supervisor says.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Opening {
    /// Whether a deadline to watch comes with it, as a descriptor.
    pub(crate) is_leased: bool,
    pub(crate) raised: Raised,
}

/// A worker that lives.
struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

/// The lease, and a timer that wakes us when it may have ended.
struct Watch {
    lease: Arc<Watched>,
    timer: OwnedFd,
}

/// Serves the supervisor at the other end of `socket` until that end closes or the lease ends. Then its workers die with it.
///
/// # Errors
/// The machine cannot run guests, or the socket broke.
pub(crate) fn serve(socket: OwnedFd) -> io::Result<()> {
    let host = engine(Tier::Optimized, false, DEFAULT_STACK_BYTES).and_then(Host::new).map_err(io::Error::other)?;
    // Guests write to pipes whose reader may be gone, and beyond their largest file: both are errors to them, not our end.
    ignore_signal(libc::SIGPIPE);
    ignore_signal(libc::SIGXFSZ);
    // A supervisor that was stopped must not keep us from looking at the deadline.
    set_socket_timeout(&socket, Timeout::Send, Some(TELLING))?;
    let Some((opening, descriptors)) = receive::<Opening>(&socket)? else { return Ok(()) };
    let watch = opening.is_leased.then(|| Watch::over(&descriptors)).transpose()?;
    drop(descriptors);
    walls::raise_in_zygote(opening.raised).map_err(io::Error::other)?;
    let mut children: Vec<Child> = Vec::new();
    loop {
        let Some((request, ended)) = wait(&socket, &children, watch.as_ref())? else {
            children.iter().for_each(kill);
            return Ok(());
        };
        for position in ended.into_iter().rev() {
            let child = children.swap_remove(position);
            let reaped = reap(child.pid)?;
            let birth = Birth::Exited {
                pid: child.pid,
                status: reaped.status,
                cpu_milliseconds: reaped.cpu_milliseconds,
                peak_resident_bytes: reaped.peak_resident_bytes,
            };
            send(&socket, &birth, &[])?;
        }
        if request {
            if receive::<ForkRequest>(&socket)?.is_none() {
                return Ok(());
            }
            match bear(&socket, &host, watch.as_ref(), opening.raised) {
                Ok(child) => children.push(child),
                Err(error) => send(&socket, &Birth::NotForked(error.to_string()), &[])?,
            }
        }
    }
}

/// Waits for a request or an ended child: whether the socket is readable, and the positions of the ended in ascending order. `None` when
/// the lease has ended.
fn wait(socket: &OwnedFd, children: &[Child], watch: Option<&Watch>) -> io::Result<Option<(bool, Vec<usize>)>> {
    loop {
        if let Some(watch) = watch
            && !watch.arm()?
        {
            return Ok(None);
        }
        let mut polled = vec![PollFd::new(socket, PollFlags::IN)];
        polled.extend(children.iter().map(|child| PollFd::new(&child.pidfd, PollFlags::IN)));
        polled.extend(watch.map(|watch| PollFd::new(&watch.timer, PollFlags::IN)));
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let is_ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let request = is_ready(&polled[0]);
        let ended: Vec<_> = (0..children.len()).filter(|position| is_ready(&polled[1 + position])).collect();
        // Neither: the timer has run out, and the deadline is looked at again.
        if request || !ended.is_empty() {
            return Ok(Some((request, ended)));
        }
    }
}

fn kill(child: &Child) {
    // It may have ended by itself.
    let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
}

/// Forks a worker and tells the supervisor of it.
fn bear(socket: &OwnedFd, host: &Host, watch: Option<&Watch>, raised: Raised) -> io::Result<Child> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let zygote = rustix::process::getpid();
    match fork()? {
        Forked::Child => worker::live(ours, zygote, host, watch.map(|watch| Arc::clone(&watch.lease)), raised),
        Forked::Parent { pid } => {
            let pidfd = pidfd_open(Pid::from_raw(pid).expect("fork gave it"), PidfdFlags::empty())?;
            send(socket, &Birth::Ready { pid }, &[theirs.as_fd(), pidfd.as_fd()])?;
            Ok(Child { pid, pidfd })
        }
    }
}

// === impl Watch ===

impl Watch {
    fn over(descriptors: &[OwnedFd]) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "the deadline to watch did not come along");
        let lease = Arc::new(Watched::open(descriptors.first().ok_or_else(missing)?)?);
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
        Ok(Self { lease, timer })
    }

    /// Sets the timer to the deadline as it is now; `false` when the lease has ended.
    fn arm(&self) -> io::Result<bool> {
        let Some(until) = self.lease.until() else { return Ok(false) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: until };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(true)
    }
}

#[expect(unsafe_code, reason = "signal dispositions have no safe binding")]
fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}
