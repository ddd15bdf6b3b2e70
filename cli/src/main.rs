//! `wasmjob`: runs WebAssembly jobs on this machine and checks what a cluster would say of them.
//!
//! Only the edge: arguments in, exit code out. Fetching, running and publishing are the crate `runner`'s, the contract is `crds`'s.
//!
//! | file | lives here |
//! |---|---|
//! | `args` | the flags, their help, and what their texts mean |
//! | `source_arg` | `SRC:PATH`, modules, CIDs: one argument → one source |
//! | `job_from_flags` | flags → the `WasmJob` that YAML would have been; flags over a `WasmJob` |
//! | `document` | YAML and JSON files → checked jobs |
//! | `run` | one job from its spec to its exit code |
//! | `outputs` | the folder that gets the outputs, without losing what is in it |
//! | `progress` | stage and bytes on a terminal |
//! | `status_file` | the status a cluster would have written |
//! | `dry_run` | the YAML a cluster would take |
//! | `validate` | what the API server would say, offline |
//! | `exit` | how a run ended → the process's exit code and its line on stderr |
//! | `config`, `s3_access`, `ipfs_access` | environment and configuration files |

// The runner's future holds those of the S3 client, whose types nest deeper than the default.
#![recursion_limit = "256"]

mod args;
mod config;
mod document;
mod dry_run;
mod exit;
mod ipfs_access;
mod job_from_flags;
mod outputs;
mod progress;
mod run;
mod s3_access;
mod source_arg;
mod status_file;
mod validate;

use std::process::ExitCode;

use args::{Command, parse};

fn main() -> ExitCode {
    // A process of the runner's own (zygote, compiler) never comes back from here; it must not have other threads.
    runner::role::enter();
    let (command, environment) = (parse(), config::Environment::read());
    match command {
        Command::Run(run) => run::main(&run, &environment),
        Command::Validate(validate) => validate::main(&validate.files),
        Command::Version => exit::print(&format!("wasmjob {}\n", args::VERSION)),
        Command::Completion { shell } => exit::print_bytes(&args::completion(shell)),
    }
}
