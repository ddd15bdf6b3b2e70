//! A forked worker: waits for one order, raises the walls, runs the guest, tells how it ended, and is gone.
//!
//! Holds no token, no network, no environment. Its deadline is SIGKILL from the supervisor; it dies with the zygote, and by itself with the
//! lease.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crds::reason::Reason;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::failure::Failure;
use crate::lease::Watched;
use crate::order::{Ending, Event, How, Order, receive, send};
use crate::process::{close_range, exit_now, said};
use crate::role::{self, Scene};
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, engine};
use crate::sandbox::run::{Given, Host, run};
use crate::sandbox::wasi::Streams;
use crate::walls::{self, Confined, Raised};

/// The watchdog calls nothing that needs more.
const WATCHDOG_STACK_BYTES: usize = 64 << 10;
/// Threads in which host calls wait for files while the guest goes on.
const MOST_WAITING_THREADS: usize = 16;

/// An order with what it came with and what it is carried out with.
struct Work<'a> {
    order: &'a Order,
    begun: u64,
    descriptors: Vec<OwnedFd>,
    socket: &'a OwnedFd,
    shared: &'a Host,
    clock: &'a tokio::runtime::Runtime,
    confined: Confined,
}

/// A worker's whole life; never returns, and ends with the lease. Of the zygote's descriptors it keeps its own socket and the standard
/// three.
pub(crate) fn live(socket: OwnedFd, zygote: Pid, host: &Host, lease: Option<Arc<Watched>>, raised: Raised) -> ! {
    let own = u32::try_from(socket.as_raw_fd()).unwrap_or(3);
    if own > 3 {
        close_range(3, own - 1);
    }
    close_range(own + 1, u32::MAX);
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() || getppid() != Some(zygote) {
        exit_now(1);
    }
    // Before the order, so that nobody waits for it.
    if lease.as_ref().is_some_and(|lease| watch(Arc::clone(lease), raised).is_err()) {
        exit_now(1);
    }
    let confined = Confined::prepare(raised);
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(MOST_WAITING_THREADS).build();
    let order = receive::<(Order, u64)>(&socket);
    if let Ok(Some(((order, begun), descriptors))) = order
        // Where the watchdog has not come to its turn yet.
        && lease.is_none_or(|lease| lease.until().is_some())
    {
        let ending = match (clock, confined) {
            (Ok(clock), Ok(confined)) => {
                carry_out(Work { order: &order, begun, descriptors, socket: &socket, shared: host, clock: &clock, confined })
            }
            (Err(error), _) => lost(format!("failed to start the guest's clock: {error}")),
            (_, Err(error)) => refused(error.failure()),
        };
        if send(&socket, &Event::Ended(ending), &[]).is_ok() {
            exit_now(0);
        }
    }
    exit_now(1);
}

/// Ends this process when the lease has ended, whatever it is doing then: computing, waiting in a call, telling a supervisor that does not
/// listen. Returns when the watchdog is behind its own wall.
fn watch(lease: Arc<Watched>, raised: Raised) -> std::io::Result<()> {
    let (walled, is_walled) = sync_channel(1);
    let watchdog = std::thread::Builder::new().name("lease".to_owned()).stack_size(WATCHDOG_STACK_BYTES);
    watchdog.spawn(move || {
        if walls::raise_in_watchdog(raised).is_err() {
            exit_now(1);
        }
        // It is waited for.
        let _ = walled.send(());
        lease.wait();
        exit_now(1)
    })?;
    is_walled.recv().map_err(std::io::Error::other)
}

/// The machine's fault.
fn lost(message: String) -> Ending {
    refused(Failure::new(Reason::WorkerKilled, message))
}

fn refused(Failure { reason, message }: Failure) -> Ending {
    Ending {
        how: How::Refused { reason, message },
        network_denied: Vec::new(),
        peak_memory_bytes: 0,
        refused_bytes: None,
        fuel_consumed: None,
        instantiate_microseconds: 0,
        run_microseconds: 0,
    }
}

fn carry_out(work: Work<'_>) -> Ending {
    let Work { order, begun, descriptors, socket, shared, clock, mut confined } = work;
    let Ok([compiled, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(descriptors) else {
        return lost("the order came without its four descriptors".to_owned());
    };
    if let Err(error) = confined.close_around(order, compiled.as_fd()) {
        return refused(error.failure());
    }
    let own = (order.limits.fuel.is_some() || order.limits.max_stack_bytes != DEFAULT_STACK_BYTES)
        .then(|| engine(Tier::Optimized, order.limits.fuel.is_some(), order.limits.max_stack_bytes).and_then(Host::new))
        .transpose();
    let own = match own {
        Ok(own) => own,
        Err(error) => return lost(format!("failed to set up the engine: {error:#}")),
    };
    let Ok(teller) = socket.as_fd().try_clone_to_owned().map(Arc::new) else {
        return lost("no descriptor left".to_owned());
    };
    let tell = move |event: Event| {
        // A supervisor that is gone has closed the socket; the death signal of the zygote follows.
        let _ = send(&*teller, &event, &[]);
    };
    let streams = Streams { stdin: File::from(stdin), stdout: File::from(stdout), stderr: File::from(stderr) };
    let before = || {
        confined.shut().map_err(|error| refused(error.failure()).how)?;
        let directories = || order.preopens.iter().map(|preopen| (preopen.host.as_str(), preopen.writable)).collect();
        role::play(|| Scene::Worker { args: &order.args, directories: directories() }).map_or(Ok(()), |code| Err(How::Exited(code)))
    };
    let given = Given { host: own.as_ref().unwrap_or(shared), order, begun, compiled: File::from(compiled), streams, before: &before };
    // Nobody sees a worker's stderr: what a panic says travels in the ending.
    let ran = catch_unwind(AssertUnwindSafe(|| clock.block_on(run(given, tell))));
    ran.unwrap_or_else(|panic| lost(format!("the worker panicked: {}; please report it", said(&*panic))))
}
