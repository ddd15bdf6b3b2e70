//! The process that workers are forked from: one thread, no network, no environment, the runtime already in memory.
//!
//! It forks a worker for each request, hands the worker's socket and pidfd to the supervisor, and reaps. It never sees an order.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::order::{Birth, receive, send};
use crate::process::{Forked, fork, reap};
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, engine};
use crate::sandbox::run::Host;
use crate::worker;

/// A request for one more worker; the only thing a supervisor says.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ForkRequest;

/// A worker that lives.
struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

/// Serves the supervisor at the other end of `socket` until that end closes. Then its workers die with it.
///
/// # Errors
/// The machine cannot run guests, or the socket broke.
pub(crate) fn serve(socket: OwnedFd) -> io::Result<()> {
    let host = engine(Tier::Optimized, false, DEFAULT_STACK_BYTES).and_then(Host::new).map_err(io::Error::other)?;
    // Guests write to pipes whose reader may be gone, and beyond their largest file: both are errors to them, not our end.
    ignore_signal(libc::SIGPIPE);
    ignore_signal(libc::SIGXFSZ);
    let mut children: Vec<Child> = Vec::new();
    loop {
        let (request, ended) = wait(&socket, &children)?;
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
            match bear(&socket, &host) {
                Ok(child) => children.push(child),
                Err(error) => send(&socket, &Birth::NotForked(error.to_string()), &[])?,
            }
        }
    }
}

/// Waits for a request or an ended child: whether the socket is readable, and the positions of the ended in ascending order.
fn wait(socket: &OwnedFd, children: &[Child]) -> io::Result<(bool, Vec<usize>)> {
    let mut watched = vec![PollFd::new(socket, PollFlags::IN)];
    watched.extend(children.iter().map(|child| PollFd::new(&child.pidfd, PollFlags::IN)));
    while let Err(error) = poll(&mut watched, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    let ended = watched[1..].iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(position, _)| position).collect();
    Ok((!watched[0].revents().is_empty(), ended))
}

/// Forks a worker and tells the supervisor of it.
fn bear(socket: &OwnedFd, host: &Host) -> io::Result<Child> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let zygote = rustix::process::getpid();
    match fork()? {
        Forked::Child => worker::live(ours, zygote, host),
        Forked::Parent { pid } => {
            let pidfd = pidfd_open(Pid::from_raw(pid).expect("fork gave it"), PidfdFlags::empty())?;
            send(socket, &Birth::Ready { pid }, &[theirs.as_fd(), pidfd.as_fd()])?;
            Ok(Child { pid, pidfd })
        }
    }
}

#[expect(unsafe_code, reason = "signal dispositions have no safe binding")]
fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}
