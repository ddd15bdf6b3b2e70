//! The compiler: a process of its own for each module, because compiling hostile bytes is outside of what wasmtime promises.
//!
//! Two processes, in fact. The *keeper* gets its `CompileOrder` as its argument and the module as its stdin, parses neither, and forks the
//! *compiler*, which has the module, one nameless place for its output and one for its answer open, raises its walls, checks what the
//! module is and imports, and compiles it. The keeper gives the output its name and passes the answer on to stdout: whatever a compiler
//! was made to do, it touches no other module's code. The deadline is the caller's SIGKILL, and the compiler dies with its keeper.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use crds::reason::Reason;
use crds::report::ModuleKind;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::order::ExitStatus;
use crate::prepare::{file_name, imports};
use crate::process::{Forked, drop_streams, exit_now, fork, reap, replace_stdin, said};
use crate::role::{self, Scene};
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, engine};
use crate::sandbox::run::{component_linker, core_linker};
use crate::walls::{self, Raised};

/// Largest answer.
const ANSWER_BYTES: u64 = 1 << 20;

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
    pub(crate) raised: Raised,
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

/// Carries the order out. The process's exit code.
pub(crate) fn serve(order: Option<&str>) -> i32 {
    let answer = read_order(order).and_then(|order| keep(&order)).unwrap_or_else(|error| Compiled::Failed(error.to_string()));
    i32::from(tell(&answer, &mut io::stdout()).is_err())
}

fn read_order(order: Option<&str>) -> io::Result<CompileOrder> {
    let order = order.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "started without its order"))?;
    Ok(serde_json::from_str(order)?)
}

fn tell(answer: &Compiled, to: &mut impl io::Write) -> io::Result<()> {
    to.write_all(&serde_json::to_vec(answer)?)?;
    to.flush()
}

/// The keeper's part.
fn keep(order: &CompileOrder) -> io::Result<Compiled> {
    if order.attended {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    std::fs::create_dir_all(&order.directory)?;
    let output = NamedTempFile::new_in(&order.directory)?;
    let (answers, answer) = pipe_with(PipeFlags::CLOEXEC)?;
    let keeper = getpid();
    let pid = match fork()? {
        Forked::Child => live(order, keeper, output.as_file(), answers, answer),
        Forked::Parent { pid } => pid,
    };
    drop(answer);
    let mut answer = Vec::new();
    File::from(answers).take(ANSWER_BYTES).read_to_end(&mut answer)?;
    match reap(pid)?.status {
        ExitStatus::Code(0) => {}
        other => return Ok(Compiled::Refused { reason: Reason::CompileLimit, message: ended(other) }),
    }
    let answer = serde_json::from_slice(&answer)?;
    if let Compiled::Done(kind) = answer {
        // Complete and on disk before it has its name: a torn file is never loaded.
        output.as_file().sync_data()?;
        let name = file_name(&order.name, order.tier, kind);
        output.persist(order.directory.join(name)).map_err(|error| error.error)?;
    }
    Ok(answer)
}

fn ended(status: ExitStatus) -> String {
    match status {
        ExitStatus::Signal(libc::SIGSYS) => {
            "the compiler was killed for a system call that no compiler makes: the module has found a defect; please report it".to_owned()
        }
        ExitStatus::Signal(signal) => {
            format!("compiling ended with signal {signal}, most likely for want of memory: make the module smaller or simpler")
        }
        ExitStatus::Code(code) => format!("compiling ended with {code}: make the module smaller or simpler"),
    }
}

/// The compiler's whole life; never returns. It has no stream of its keeper's.
fn live(order: &CompileOrder, keeper: Pid, output: &File, answers: OwnedFd, answer: OwnedFd) -> ! {
    drop(answers);
    // Unwinding further would be the keeper's: its output has a name still, and its stack goes on.
    let ended = catch_unwind(AssertUnwindSafe(|| match confine(order, keeper)? {
        Ok(module) => compile(order, module, output),
        Err(refused) => Ok(refused),
    }));
    let compiled = match ended {
        Ok(compiled) => compiled.unwrap_or_else(|error: io::Error| Compiled::Failed(error.to_string())),
        Err(panic) => Compiled::Refused {
            reason: Reason::CompileLimit,
            message: format!("the compiler panicked: {}; please report it", said(&*panic)),
        },
    };
    exit_now(i32::from(tell(&compiled, &mut File::from(answer)).is_err()));
}

/// Raises the walls: the open module, or the refusal to go on without them.
fn confine(order: &CompileOrder, keeper: Pid) -> io::Result<Result<File, Compiled>> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(keeper) {
        return Err(io::Error::other("the keeper has ended"));
    }
    let module = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    replace_stdin(&File::open("/dev/null")?)?;
    drop_streams()?;
    Ok(walls::raise_in_compiler(order.raised).map(|()| module).map_err(|error| {
        let failure = error.failure();
        Compiled::Refused { reason: failure.reason, message: failure.message }
    }))
}

fn compile(order: &CompileOrder, mut module: File, mut output: &File) -> io::Result<Compiled> {
    let mut bytes = Vec::new();
    module.read_to_end(&mut bytes)?;
    if let Some(code) = role::play(|| Scene::Compiler { module: &bytes }) {
        return Ok(Compiled::Refused { reason: Reason::ModuleInvalid, message: format!("played: {code}") });
    }
    let kind = match imports::check(&bytes) {
        Ok(kind) => kind,
        Err(refusal) => return Ok(Compiled::Refused { reason: refusal.reason, message: refusal.message }),
    };
    let engine = engine(order.tier, order.fuel, DEFAULT_STACK_BYTES).map_err(io::Error::other)?;
    let compiled = match kind {
        ModuleKind::CoreModule => link_core(&engine, &bytes),
        ModuleKind::Component => link_component(&engine, &bytes),
    };
    match compiled {
        Ok(compiled) => output.write_all(&compiled).map(|()| Compiled::Done(kind)),
        Err((reason, error)) => Ok(Compiled::Refused { reason, message: format!("{error:#}") }),
    }
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
