//! `wasmjob-agent`: the agent of one node. Everything is the library's.

// The runner's future holds those of the S3 client, whose types nest deeper than the default.
#![recursion_limit = "256"]

use std::process::ExitCode;

fn main() -> ExitCode {
    // A process of the runner's own (zygote, compiler) never comes back from here; it must not have other threads.
    runner::role::enter();
    node_agent::main()
}
