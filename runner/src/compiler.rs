//! The compiler: a process of its own for each module, because compiling hostile bytes is outside of what wasmtime promises.
//!
//! Gets its `CompileOrder` as its argument and the module as its stdin, checks what that is and imports, writes the compiled code,
//! answers one `Compiled` on stdout. Walls: memory and CPU rlimits; the deadline is the caller's SIGKILL. No network, no environment.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crds::reason::Reason;
use crds::report::ModuleKind;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};

use crate::prepare::{file_name, imports};
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, engine};
use crate::sandbox::run::{component_linker, core_linker};

/// Memory that one compilation may take.
const MEMORY_BYTES: u64 = 2 << 30;
/// CPU time after which a compilation that nobody waits for ends.
const CPU_LIMIT: Duration = Duration::from_mins(10);

/// One module to compile.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompileOrder {
    /// Directory that gets `<name>.<tier>.<kind>`.
    pub(crate) directory: PathBuf,
    /// The module's digest in hex.
    pub(crate) name: String,
    pub(crate) tier: Tier,
    pub(crate) fuel: bool,
    /// Whether it dies with the process that ordered it.
    pub(crate) attended: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Compiled {
    Done(ModuleKind),
    Refused {
        reason: Reason,
        message: String,
    },
    /// The machine's fault.
    Failed(String),
}

/// Carries out the order. The process's exit code.
pub(crate) fn serve(order: Option<&str>) -> i32 {
    let answer = read_order(order).and_then(|order| {
        raise_walls(order.attended)?;
        compile(&order)
    });
    let answer = answer.unwrap_or_else(|error| Compiled::Failed(error.to_string()));
    let written = serde_json::to_vec(&answer)
        .map_err(io::Error::other)
        .and_then(|bytes| io::stdout().write_all(&bytes))
        .and_then(|()| io::stdout().flush());
    i32::from(written.is_err())
}

fn read_order(order: Option<&str>) -> io::Result<CompileOrder> {
    let order = order.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "started without its order"))?;
    Ok(serde_json::from_str(order)?)
}

fn raise_walls(attended: bool) -> io::Result<()> {
    if attended {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    for (resource, limit) in [(Resource::Data, MEMORY_BYTES), (Resource::Cpu, CPU_LIMIT.as_secs()), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

fn compile(order: &CompileOrder) -> io::Result<Compiled> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let kind = match imports::check(&bytes) {
        Ok(kind) => kind,
        Err(refusal) => return Ok(Compiled::Refused { reason: refusal.reason, message: refusal.message }),
    };
    let engine = engine(order.tier, order.fuel, DEFAULT_STACK_BYTES).map_err(io::Error::other)?;
    let compiled = match kind {
        ModuleKind::CoreModule => link_core(&engine, &bytes),
        ModuleKind::Component => link_component(&engine, &bytes),
    };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err((reason, error)) => return Ok(Compiled::Refused { reason, message: format!("{error:#}") }),
    };
    let name = file_name(&order.name, order.tier, kind);
    keep(&order.directory, &name, &compiled)?;
    Ok(Compiled::Done(kind))
}

/// Compiles, and links once against what is offered, so that a wrong signature is found before the run.
fn link_core(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, (Reason, wasmtime::Error)> {
    let module = wasmtime::Module::from_binary(engine, bytes).map_err(|error| (Reason::ModuleInvalid, error))?;
    core_linker(engine)
        .and_then(|linker| linker.instantiate_pre(&module))
        .map_err(|error| (Reason::ImportNotAllowed, error.context("the module's imports do not fit what is offered")))?;
    module.serialize().map_err(|error| (Reason::CompileLimit, error))
}

fn link_component(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, (Reason, wasmtime::Error)> {
    let component = wasmtime::component::Component::from_binary(engine, bytes).map_err(|error| (Reason::ModuleInvalid, error))?;
    let pre = component_linker(engine)
        .and_then(|linker| linker.instantiate_pre(&component))
        .map_err(|error| (Reason::ImportNotAllowed, error.context("the component's imports do not fit what is offered")))?;
    wasmtime_wasi::p2::bindings::CommandPre::new(pre)
        .map_err(|error| (Reason::ModuleInvalid, error.context("the component does not export wasi:cli/run; build it as a command")))?;
    component.serialize().map_err(|error| (Reason::CompileLimit, error))
}

/// Complete and on disk before it has its name: a torn file is never loaded.
fn keep(directory: &Path, name: &str, compiled: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(compiled)?;
    file.as_file().sync_data()?;
    file.persist(directory.join(name)).map_err(|error| error.error)?;
    Ok(())
}
