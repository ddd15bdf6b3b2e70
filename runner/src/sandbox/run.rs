//! One guest from its compiled module to its ending: preview 1 core modules and preview 2 components.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use crds::reason::Reason;
use crds::report::ModuleKind;
use wasmtime::component::{Component, ResourceTable};
use wasmtime::{AsContextMut, Engine, Linker, Module, Store, ValType};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp_create_socket, udp_create_socket};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::limits::MemoryLimiter;
use super::outcome::{Exit, classify};
use super::sockets::{HasRefusals, Refusals, Refused, RefusedNetwork, refuse_in_core};
use super::wasi::{Streams, context};
use crate::order::{Ending, Event, How, Order, monotonic_microseconds};

/// Files, sockets and streams that one component may hold open.
const MOST_RESOURCES: usize = 10_000;
/// Bytes that host calls may copy out of a guest in one call.
const HOSTCALL_FUEL: usize = 64 << 20;

/// An engine and everything that guests may import: made before any order comes, shared by all workers of a zygote.
pub(crate) struct Host {
    engine: Engine,
    core: Linker<CoreState>,
    component: wasmtime::component::Linker<ComponentState>,
}

/// What a guest's store counts, whatever its kind.
pub(crate) struct Ledger {
    limiter: MemoryLimiter,
    refusals: Refusals,
}

/// State of a core module's store.
pub(crate) struct CoreState {
    wasi: WasiP1Ctx,
    ledger: Ledger,
}

/// State of a component's store.
pub(crate) struct ComponentState {
    wasi: WasiCtx,
    table: ResourceTable,
    ledger: Ledger,
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

/// Runs the guest that `compiled` holds. `tell` gets `Started` before the first guest instruction, and what else is worth telling
/// of a guest that may be killed. `begun` is when the order left the supervisor.
pub(crate) async fn run(
    host: &Host,
    order: &Order,
    begun: u64,
    compiled: File,
    streams: Streams,
    tell: impl Fn(Event) + Clone + Send + 'static,
) -> Ending {
    let limits = &order.limits;
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
    let mut watch = Watch { begun, instantiated: None };
    match order.kind {
        ModuleKind::CoreModule => run_core(host, order, compiled, streams, ledger, &mut watch, tell).await,
        ModuleKind::Component => run_component(host, order, compiled, streams, ledger, &mut watch, tell).await,
    }
}

// === core modules ===

/// Everything a core module may import.
pub(crate) fn core_linker(engine: &Engine) -> wasmtime::Result<Linker<CoreState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut CoreState| &mut state.wasi)?;
    linker.allow_shadowing(true);
    refuse_in_core(&mut linker)?;
    linker
        .func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(wasmtime::Error::from(Exit(code))) })?;
    linker.allow_shadowing(false);
    Ok(linker)
}

async fn run_core(
    host: &Host,
    order: &Order,
    compiled: File,
    streams: Streams,
    ledger: Ledger,
    watch: &mut Watch,
    tell: impl Fn(Event),
) -> Ending {
    let engine = &host.engine;
    let prepared = load_module(engine, compiled).and_then(|module| Ok((host.core.instantiate_pre(&module)?, context(order, streams)?)));
    let (pre, mut builder) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return never_ran(&ledger, &error),
    };
    let wasi = builder.build_p1();
    let mut store = Store::new(engine, CoreState { wasi, ledger });
    store.limiter(|state| &mut state.ledger.limiter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    if let Err(error) = fuel(&mut store, order) {
        return never_ran(&store.data().ledger, &error);
    }

    tell(Event::Started);
    let how = match pre.instantiate_async(&mut store).await {
        Ok(instance) => {
            watch.instantiated = Some(monotonic_microseconds());
            call_core(&mut store, instance, order.entrypoint.as_deref().unwrap_or("_start")).await
        }
        Err(error) => not_instantiated(error, store.data().ledger.limiter.refused),
    };
    let consumed = consumed(&store, order);
    ending(how, &store.data().ledger, consumed, watch)
}

/// Calls the entrypoint: `[] -> []`, or `[] -> [i32]` whose result is the exit code. A reactor's `_initialize` comes first.
async fn call_core(store: &mut Store<CoreState>, instance: wasmtime::Instance, entrypoint: &str) -> How {
    if entrypoint != "_initialize"
        && let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize")
        && let Err(error) = initialize.call_async(&mut *store, ()).await
    {
        return classify(Err(error));
    }
    let Some(function) = instance.get_func(&mut *store, entrypoint) else {
        return How::Refused { reason: Reason::ModuleInvalid, message: no_entrypoint(store, instance, entrypoint) };
    };
    if let Ok(function) = function.typed::<(), ()>(&*store) {
        return classify(function.call_async(store, ()).await.map(|()| 0));
    }
    if let Ok(function) = function.typed::<(), i32>(&*store) {
        return classify(function.call_async(store, ()).await);
    }
    How::Refused {
        reason: Reason::ModuleInvalid,
        message: format!(
            "entrypoint {entrypoint:?} takes {} and returns {}: set spec.entrypoint to a function without parameters that returns nothing or an i32",
            types(function.ty(&*store).params()),
            types(function.ty(&*store).results())
        ),
    }
}

fn types(types: impl Iterator<Item = ValType>) -> String {
    let types: Vec<_> = types.map(|ty| ty.to_string()).collect();
    format!("({})", types.join(", "))
}

fn no_entrypoint(mut store: impl AsContextMut, instance: wasmtime::Instance, entrypoint: &str) -> String {
    let mut store = store.as_context_mut();
    let exports: Vec<_> = instance
        .exports(&mut store)
        .filter(|export| matches!(export.clone().into_extern(), wasmtime::Extern::Func(_)))
        .map(|export| export.name().to_owned())
        .take(20)
        .collect();
    format!(
        "the module exports no function {entrypoint:?}: set spec.entrypoint to one that it exports ({})",
        if exports.is_empty() { "it exports none".to_owned() } else { exports.join(", ") }
    )
}

// === components ===

/// Everything a component may import.
pub(crate) fn component_linker(engine: &Engine) -> wasmtime::Result<wasmtime::component::Linker<ComponentState>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<ComponentState, Refused>(&mut linker, ComponentState::network)?;
    udp_create_socket::add_to_linker::<ComponentState, Refused>(&mut linker, ComponentState::network)?;
    ip_name_lookup::add_to_linker::<ComponentState, Refused>(&mut linker, ComponentState::network)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

async fn run_component(
    host: &Host,
    order: &Order,
    compiled: File,
    streams: Streams,
    ledger: Ledger,
    watch: &mut Watch,
    tell: impl Fn(Event),
) -> Ending {
    let engine = &host.engine;
    let prepared = load_component(engine, &compiled).and_then(|component| Ok((component, context(order, streams)?.build())));
    let (component, wasi) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return never_ran(&ledger, &error),
    };
    let mut table = ResourceTable::new();
    table.set_max_capacity(MOST_RESOURCES);
    let mut store = Store::new(engine, ComponentState { wasi, table, ledger });
    store.limiter(|state| &mut state.ledger.limiter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    if let Err(error) = fuel(&mut store, order) {
        return never_ran(&store.data().ledger, &error);
    }

    tell(Event::Started);
    let how = match Command::instantiate_async(&mut store, &component, &host.component).await {
        Ok(command) => {
            watch.instantiated = Some(monotonic_microseconds());
            // `wasi:cli/run` answers ok or err: 0 or 1, as the CLI world says.
            classify(command.wasi_cli_run().call_run(&mut store).await.map(|answer| i32::from(answer.is_err())))
        }
        Err(error) => not_instantiated(error, store.data().ledger.limiter.refused),
    };
    let consumed = consumed(&store, order);
    ending(how, &store.data().ledger, consumed, watch)
}

// === both ===

fn fuel<T>(store: &mut Store<T>, order: &Order) -> wasmtime::Result<()> {
    order.limits.fuel.map_or(Ok(()), |fuel| store.set_fuel(fuel))
}

fn consumed<T>(store: &Store<T>, order: &Order) -> Option<u64> {
    order.limits.fuel.map(|fuel| fuel.saturating_sub(store.get_fuel().unwrap_or(0)))
}

fn ending(how: How, ledger: &Ledger, fuel_consumed: Option<u64>, watch: &Watch) -> Ending {
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
    ending(how, ledger, None, &Watch { begun: monotonic_microseconds(), instantiated: None })
}

/// Instantiation runs guest code too (its start function), and asks for its first memory.
fn not_instantiated(error: wasmtime::Error, refused: Option<u64>) -> How {
    match classify(Err(error)) {
        How::Trapped { trap, backtrace } if refused.is_some() && backtrace.is_empty() => How::MemoryLimit(trap),
        other => other,
    }
}

#[expect(unsafe_code, reason = "the file was written by this machine's compiler process for this engine and is readable by its owner only")]
#[expect(clippy::disallowed_methods, reason = "the one place where compiled code is loaded")]
fn load_module(engine: &Engine, compiled: File) -> wasmtime::Result<Module> {
    // SAFETY: the store of compiled modules is written by our own compiler process only, complete before it gets its name, and in a
    // directory that only this user can write.
    unsafe { Module::deserialize_open_file(engine, compiled) }
}

#[expect(unsafe_code, reason = "as for load_module")]
#[expect(clippy::disallowed_methods, reason = "the one place where compiled code is loaded")]
fn load_component(engine: &Engine, compiled: &File) -> wasmtime::Result<Component> {
    let path = format!("/proc/self/fd/{}", compiled.as_raw_fd());
    // SAFETY: as for `load_module`.
    unsafe { Component::deserialize_file(engine, path) }
}

impl HasRefusals for CoreState {
    fn refusals(&mut self) -> &mut Refusals {
        &mut self.ledger.refusals
    }
}

impl ComponentState {
    fn network(&mut self) -> RefusedNetwork<'_> {
        RefusedNetwork { refusals: &mut self.ledger.refusals, table: &mut self.table }
    }
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
