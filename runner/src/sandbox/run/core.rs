//! A preview 1 core module: what it may import, and its run from the compiled module to its ending.

use std::fs::File;

use crds::reason::Reason;
use wasmtime::{AsContextMut, Engine, Linker, Module, Store, ValType};
use wasmtime_wasi::p1::WasiP1Ctx;

use super::{Given, Ledger, State, Watch, ending, never_ran, not_instantiated, store};
use crate::order::{Ending, Event, How, monotonic_microseconds};
use crate::sandbox::outcome::{Exit, classify};
use crate::sandbox::sockets::refuse_in_core;
use crate::sandbox::wasi::context;

/// State of a core module's store.
pub(crate) type CoreState = State<WasiP1Ctx>;

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

pub(super) async fn run(given: Given<'_>, ledger: Ledger, tell: impl Fn(Event)) -> Ending {
    let Given { host, order, begun, compiled, streams, before } = given;
    let prepared = load(&host.engine, compiled).and_then(|module| Ok((host.core.instantiate_pre(&module)?, context(order, streams)?)));
    let (pre, mut wasi) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return never_ran(&ledger, &error),
    };
    let mut store = match store(&host.engine, order, State { wasi: wasi.build_p1(), ledger }) {
        Ok(store) => store,
        Err(never_ran) => return *never_ran,
    };
    let mut watch = Watch { begun, instantiated: None };
    if let Err(how) = before() {
        return ending(how, &store, order, &watch);
    }
    tell(Event::Started);
    let how = match pre.instantiate_async(&mut store).await {
        Ok(instance) => {
            watch.instantiated = Some(monotonic_microseconds());
            call(&mut store, instance, order.entrypoint.as_deref().unwrap_or("_start")).await
        }
        Err(error) => not_instantiated(error, store.data().ledger.limiter.refused),
    };
    ending(how, &store, order, &watch)
}

/// Calls the entrypoint: `[] -> []`, or `[] -> [i32]` whose result is the exit code. A reactor's `_initialize` comes first.
async fn call(store: &mut Store<CoreState>, instance: wasmtime::Instance, entrypoint: &str) -> How {
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

#[expect(unsafe_code, reason = "the file was written by this machine's compiler process for this engine and is readable by its owner only")]
#[expect(clippy::disallowed_methods, reason = "the one place where compiled code is loaded")]
fn load(engine: &Engine, compiled: File) -> wasmtime::Result<Module> {
    // SAFETY: the store of compiled modules is written by our own compiler process only, complete before it gets its name, and in a
    // directory that only this user can write.
    unsafe { Module::deserialize_open_file(engine, compiled) }
}
