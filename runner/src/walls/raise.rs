//! Which process raises what, in which order: limits, files, calls.
//!
//! A worker's walls go up in three steps, so that most of the work is done before its order comes.

use std::os::fd::BorrowedFd;

use super::domain::Domain;
use super::filter::Filter;
use super::{Error, Raised, Wall, domain, filter, limits};
use crate::order::Order;
use crate::process::drop_streams;

/// A worker's walls: made when it is born, closed around the directories of its order, shut when its guest begins.
pub(crate) struct Confined {
    domain: Option<Domain>,
    filter: Option<Filter>,
}

pub(super) fn is_there(wall: Wall) -> bool {
    match wall {
        Wall::Landlock => domain::is_there(),
        Wall::Seccomp => filter::is_there(),
    }
}

/// In the zygote, when it has everything that it needs from files, and before the first fork.
pub(crate) fn raise_in_zygote(raised: Raised) -> Result<(), Error> {
    limits::gain_nothing()?;
    if raised.seccomp { filter::raise_in_zygote() } else { Ok(()) }
}

/// In the thread that watches the lease, which shares a worker's memory with its guest and needs no file.
pub(crate) fn raise_in_watchdog(raised: Raised) -> Result<(), Error> {
    if raised.landlock { Domain::empty()?.enter() } else { Ok(()) }
}

/// In a compiler, which has its module, its output and its answer open, and one thread.
pub(crate) fn raise_in_compiler(raised: Raised) -> Result<(), Error> {
    limits::gain_nothing()?;
    limits::go_first();
    limits::of_compiler()?;
    if raised.landlock {
        Domain::empty()?.enter()?;
    }
    if raised.seccomp { filter::raise_in_compiler() } else { Ok(()) }
}

// === impl Confined ===

impl Confined {
    /// At a worker's birth: nothing is confined yet, everything is prepared.
    pub(crate) fn prepare(raised: Raised) -> Result<Self, Error> {
        limits::go_first();
        Ok(Self { domain: raised.landlock.then(Domain::empty).transpose()?, filter: raised.seccomp.then(filter::of_worker).transpose()? })
    }

    /// When the order has come: limits, and no other file than the order's. Compiled code is loaded behind this.
    pub(crate) fn close_around(&mut self, order: &Order, compiled: BorrowedFd<'_>) -> Result<(), Error> {
        limits::of_worker(&order.limits)?;
        // What the supervisor's log gets must not be a guest's to write.
        drop_streams().map_err(Error::Streams)?;
        self.domain.take().map_or(Ok(()), |domain| domain.allow(compiled, &order.preopens)?.enter())
    }

    /// Right before the guest's first instruction, in every thread: from here on there is no way to other processes, and no new code.
    pub(crate) fn shut(&self) -> Result<(), Error> {
        self.filter.as_ref().map_or(Ok(()), Filter::raise_for_all)
    }
}
