//! One guest from its compiled module to its ending: what core modules and components have in common.

mod component;
mod core;

use std::fs::File;

use crds::reason::Reason;
use crds::report::ModuleKind;
use wasmtime::{Engine, Linker, Store};

use self::component::ComponentState;
pub(crate) use self::component::component_linker;
use self::core::CoreState;
pub(crate) use self::core::core_linker;
use super::limits::MemoryLimiter;
use super::outcome::classify;
use super::sockets::{HasRefusals, Refusals};
use super::wasi::Streams;
use crate::order::{Ending, Event, How, Order, monotonic_microseconds};

/// Bytes that host calls may copy out of a guest in one call.
const HOSTCALL_FUEL: usize = 64 << 20;

/// An engine and everything that guests may import: made before any order comes, shared by all workers of a zygote.
pub(crate) struct Host {
    engine: Engine,
    core: Linker<CoreState>,
    component: wasmtime::component::Linker<ComponentState>,
}

/// What one run is given.
pub(crate) struct Given<'a> {
    pub(crate) host: &'a Host,
    pub(crate) order: &'a Order,
    /// When the order left the supervisor, in microseconds of the monotonic clock.
    pub(crate) begun: u64,
    pub(crate) compiled: File,
    pub(crate) streams: Streams,
    /// Called when everything of ours is in place, right before the guest's first instruction. What it answers else than go on is how
    /// the run ended.
    pub(crate) before: &'a dyn Fn() -> Result<(), How>,
}

/// State of a store.
pub(crate) struct State<W> {
    wasi: W,
    ledger: Ledger,
}

/// What a guest's store counts, whatever its kind.
struct Ledger {
    limiter: MemoryLimiter,
    refusals: Refusals,
}

/// Where the clock of a run stands, in microseconds of the monotonic clock.
struct Watch {
    begun: u64,
    instantiated: Option<u64>,
}

// === impl Host ===

impl Host {
    pub(crate) fn new(engine: Engine) -> wasmtime::Result<Self> {
        Ok(Self { core: core_linker(&engine)?, component: component_linker(&engine)?, engine })
    }
}

/// Runs the guest. `tell` gets `Started` before the first guest instruction, and what else is worth telling of a guest that may be
/// killed.
pub(crate) async fn run(given: Given<'_>, tell: impl Fn(Event) + Clone + Send + 'static) -> Ending {
    let limits = &given.order.limits;
    let ledger = Ledger {
        limiter: MemoryLimiter::new(limits.memory_bytes, limits.max_table_elements, {
            let tell = tell.clone();
            Box::new(move |bytes| tell(Event::Grew(bytes)))
        }),
        refusals: Refusals::new({
            let tell = tell.clone();
            Box::new(move |call| tell(Event::NetworkDenied(call.to_owned())))
        }),
    };
    match given.order.kind {
        ModuleKind::CoreModule => core::run(given, ledger, tell).await,
        ModuleKind::Component => component::run(given, ledger, tell).await,
    }
}

/// A store with everything that bounds its guest.
fn store<W: 'static>(engine: &Engine, order: &Order, state: State<W>) -> Result<Store<State<W>>, Box<Ending>> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.ledger.limiter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    match order.limits.fuel.map_or(Ok(()), |fuel| store.set_fuel(fuel)) {
        Ok(()) => Ok(store),
        Err(error) => Err(Box::new(never_ran(&store.data().ledger, &error))),
    }
}

fn ending<W>(how: How, store: &Store<State<W>>, order: &Order, watch: &Watch) -> Ending {
    let fuel_consumed = order.limits.fuel.map(|fuel| fuel.saturating_sub(store.get_fuel().unwrap_or(0)));
    ended(how, &store.data().ledger, fuel_consumed, watch)
}

fn ended(how: How, ledger: &Ledger, fuel_consumed: Option<u64>, watch: &Watch) -> Ending {
    let now = monotonic_microseconds();
    let instantiated = watch.instantiated.unwrap_or(now);
    Ending {
        how: blamed_on_tables(how, &ledger.limiter),
        network_denied: ledger.refusals.denied(),
        peak_memory_bytes: ledger.limiter.peak,
        refused_bytes: ledger.limiter.refused,
        fuel_consumed,
        instantiate_microseconds: instantiated.saturating_sub(watch.begun),
        run_microseconds: now.saturating_sub(instantiated),
    }
}

/// A guest that failed after it was refused table elements failed for want of them.
fn blamed_on_tables(how: How, limiter: &MemoryLimiter) -> How {
    match (how, limiter.refused_elements) {
        (How::Trapped { .. } | How::MemoryLimit(_), Some(asked)) => How::MemoryLimit(format!(
            "the guest needed {asked} table elements in all, more than spec.wasmLimits.maxTableElements ({}) allows: raise it",
            limiter.max_table_elements
        )),
        (how, _) => how,
    }
}

/// The machine's or the cache's fault: a compiled module that does not load, a directory that is not there.
fn never_ran(ledger: &Ledger, error: &wasmtime::Error) -> Ending {
    let how = How::Refused { reason: Reason::WorkerKilled, message: format!("failed to set the guest up: {error:#}") };
    ended(how, ledger, None, &Watch { begun: monotonic_microseconds(), instantiated: None })
}

/// Instantiation runs guest code too (its start function), and asks for its first memory.
fn not_instantiated(error: wasmtime::Error, refused: Option<u64>) -> How {
    match classify(Err(error)) {
        How::Trapped { trap, backtrace } if refused.is_some() && backtrace.is_empty() => How::MemoryLimit(trap),
        other => other,
    }
}

impl<W: 'static> HasRefusals for State<W> {
    fn refusals(&mut self) -> &mut Refusals {
        &mut self.ledger.refusals
    }
}
