//! A preview 2 component with `wasi:cli/run`: what it may import, and its run from the compiled component to its ending.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use wasmtime::Engine;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp_create_socket, udp_create_socket};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{Given, Ledger, State, Watch, ending, never_ran, not_instantiated, store};
use crate::order::{Ending, Event, monotonic_microseconds};
use crate::sandbox::outcome::classify;
use crate::sandbox::sockets::{Refused, RefusedNetwork};
use crate::sandbox::wasi::context;

/// Files, sockets and streams that one component may hold open.
const MOST_RESOURCES: usize = 10_000;

/// State of a component's store.
pub(crate) type ComponentState = State<Resources>;

/// What a component holds of its host.
pub(crate) struct Resources {
    wasi: WasiCtx,
    table: ResourceTable,
}

/// Everything a component may import.
pub(crate) fn component_linker(engine: &Engine) -> wasmtime::Result<Linker<ComponentState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<ComponentState, Refused>(&mut linker, ComponentState::network)?;
    udp_create_socket::add_to_linker::<ComponentState, Refused>(&mut linker, ComponentState::network)?;
    ip_name_lookup::add_to_linker::<ComponentState, Refused>(&mut linker, ComponentState::network)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

pub(super) async fn run(given: Given<'_>, ledger: Ledger, tell: impl Fn(Event)) -> Ending {
    let Given { host, order, begun, compiled, streams, before } = given;
    let prepared = load(&host.engine, &compiled).and_then(|component| Ok((component, context(order, streams)?.build())));
    let (component, wasi) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return never_ran(&ledger, &error),
    };
    let mut table = ResourceTable::new();
    table.set_max_capacity(MOST_RESOURCES);
    let mut store = match store(&host.engine, order, State { wasi: Resources { wasi, table }, ledger }) {
        Ok(store) => store,
        Err(never_ran) => return *never_ran,
    };
    let mut watch = Watch { begun, instantiated: None };
    if let Err(how) = before() {
        return ending(how, &store, order, &watch);
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
    ending(how, &store, order, &watch)
}

#[expect(unsafe_code, reason = "as for core modules")]
#[expect(clippy::disallowed_methods, reason = "the one place where compiled code is loaded")]
fn load(engine: &Engine, compiled: &File) -> wasmtime::Result<Component> {
    let path = format!("/proc/self/fd/{}", compiled.as_raw_fd());
    // SAFETY: as for core modules.
    unsafe { Component::deserialize_file(engine, path) }
}

impl ComponentState {
    fn network(&mut self) -> RefusedNetwork<'_> {
        RefusedNetwork { refusals: &mut self.ledger.refusals, table: &mut self.wasi.table }
    }
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.wasi, table: &mut self.wasi.table }
    }
}
