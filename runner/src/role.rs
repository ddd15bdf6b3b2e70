//! Which process this is: the one the user started, or one that the runner started from the same executable.
//!
//! A role is chosen by `argv[0]`, which no shell user sets by accident.

use std::os::fd::{AsFd as _, OwnedFd};

use crate::process::{close_range, exit_now, keep_freed_memory, replace_stdin};
use crate::{compiler, zygote};

/// `argv[0]` of the zygote.
pub(crate) const ZYGOTE: &str = "wasmjob: zygote";
/// `argv[0]` of a compiler.
pub(crate) const COMPILER: &str = "wasmjob: compiler";

/// Must be the first line of `main`, before any thread is started: returns only in the process that the user started,
/// which from then on keeps memory that it has freed for the next download.
pub fn enter() {
    let mut arguments = std::env::args_os();
    let Some(name) = arguments.next() else { return };
    if name == ZYGOTE {
        close_range(3, u32::MAX);
        let served = standard_input().and_then(zygote::serve);
        if let Err(error) = &served {
            eprintln!("wasmjob: the zygote stopped: {error}");
        }
        exit_now(i32::from(served.is_err()));
    }
    if name == COMPILER {
        close_range(3, u32::MAX);
        exit_now(compiler::serve(arguments.next().as_deref().and_then(std::ffi::OsStr::to_str)));
    }
    keep_freed_memory();
}

/// The line to the supervisor, taken out of the place of stdin so that no worker inherits it there.
fn standard_input() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    replace_stdin(&std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}
