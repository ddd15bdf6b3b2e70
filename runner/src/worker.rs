//! A forked worker: waits for one order, raises the walls, runs the guest, tells how it ended, and is gone.
//!
//! Holds no token, no network, no environment. Its deadline is SIGKILL from the supervisor; it dies with the zygote, and by itself with the
//! lease.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;

use crds::reason::Reason;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::lease::Watched;
use crate::order::{Ending, Event, How, Order, receive, send};
use crate::process::{close_range, exit_now};
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, engine};
use crate::sandbox::run::{Given, Host, run};
use crate::sandbox::wasi::Streams;
use crate::walls;

/// The watchdog calls nothing that needs more.
const WATCHDOG_STACK_BYTES: usize = 64 << 10;

/// A worker's whole life; never returns, and ends with the lease. Of the zygote's descriptors it keeps its own socket and the standard
/// three.
pub(crate) fn live(socket: OwnedFd, zygote: Pid, host: &Host, lease: Option<Arc<Watched>>) -> ! {
    let own = u32::try_from(socket.as_raw_fd()).unwrap_or(3);
    if own > 3 {
        close_range(3, own - 1);
    }
    close_range(own + 1, u32::MAX);
    if set_parent_process_death_signal(Some(Signal::KILL)).is_err() || getppid() != Some(zygote) {
        exit_now(1);
    }
    // Before the order, so that nobody waits for it.
    if lease.as_ref().is_some_and(|lease| watch(Arc::clone(lease)).is_err()) {
        exit_now(1);
    }
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let order = receive::<(Order, u64)>(&socket);
    if let Ok(Some(((order, begun), descriptors))) = order
        // Where the watchdog has not come to its turn yet.
        && lease.is_none_or(|lease| lease.until().is_some())
    {
        let ending = match clock {
            Ok(clock) => carry_out(&order, begun, descriptors, &socket, host, &clock),
            Err(error) => refused(format!("failed to start the guest's clock: {error}")),
        };
        if send(&socket, &Event::Ended(ending), &[]).is_ok() {
            exit_now(0);
        }
    }
    exit_now(1);
}

/// Ends this process when the lease has ended, whatever it is doing then: computing, waiting in a call, telling a supervisor that does not
/// listen.
fn watch(lease: Arc<Watched>) -> std::io::Result<()> {
    let watchdog = std::thread::Builder::new().name("lease".to_owned()).stack_size(WATCHDOG_STACK_BYTES);
    let watching = watchdog.spawn(move || {
        lease.wait();
        exit_now(1)
    });
    watching.map(drop)
}

fn refused(message: String) -> Ending {
    Ending {
        how: How::Refused { reason: Reason::WorkerKilled, message },
        network_denied: Vec::new(),
        peak_memory_bytes: 0,
        refused_bytes: None,
        fuel_consumed: None,
        instantiate_microseconds: 0,
        run_microseconds: 0,
    }
}

fn carry_out(
    order: &Order,
    begun: u64,
    descriptors: Vec<OwnedFd>,
    socket: &OwnedFd,
    shared: &Host,
    clock: &tokio::runtime::Runtime,
) -> Ending {
    let Ok([compiled, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(descriptors) else {
        return refused("the order came without its four descriptors".to_owned());
    };
    if let Err(message) = walls::raise(&order.limits) {
        return refused(message);
    }
    let own = (order.limits.fuel.is_some() || order.limits.max_stack_bytes != DEFAULT_STACK_BYTES)
        .then(|| engine(Tier::Optimized, order.limits.fuel.is_some(), order.limits.max_stack_bytes).and_then(Host::new))
        .transpose();
    let own = match own {
        Ok(own) => own,
        Err(error) => return refused(format!("failed to set up the engine: {error:#}")),
    };
    let Ok(teller) = socket.as_fd().try_clone_to_owned().map(Arc::new) else {
        return refused("no descriptor left".to_owned());
    };
    let tell = move |event: Event| {
        // A supervisor that is gone has closed the socket; the death signal of the zygote follows.
        let _ = send(&*teller, &event, &[]);
    };
    let streams = Streams { stdin: File::from(stdin), stdout: File::from(stdout), stderr: File::from(stderr) };
    let host = own.as_ref().unwrap_or(shared);
    clock.block_on(run(Given { host, order, begun, compiled: File::from(compiled), streams }, tell))
}
