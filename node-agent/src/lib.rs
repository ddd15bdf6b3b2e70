//! The agent of one node: takes what its `WasmNode` says, drives the runner, and says in the same object what came of it.
//!
//! Keeps the agent's side of the assignment protocol; code names the rule that it keeps (P1 to P17). Schedules nothing, and meets the
//! operator only at the API server.
//!
//! | file | lives here |
//! |---|---|
//! | `config` | flags and environment, checked |
//! | `agent` | what lasts as long as the process; one term after the other |
//! | `lease`, `lease/claim` | the node's Lease, and the deadline that follows from it (P10, P12) |
//! | `register`, `watch`, `seen` | the node's object: read first, then watched; versions that go back (P14, P15) |
//! | `term`, `term/*` | the loop between holding the Lease and losing it |
//! | `decide` | entries, attempts and room → what to do; pure |
//! | `attempt`, `attempt/*` | one entry: job, ConfigMaps, runner, report (P2) |
//! | `journal`, `journal/*` | what started and ended, on disk (P12) |
//! | `report`, `report/*` | what status should say → the next write (P4, P5, P6, P13) |
//! | `kept`, `sweep` | outputs without a place, leftovers |
//! | `seal` | the agent's key, and what is sealed to it (P2) |
//! | `s3_access` | the administrator's S3 credentials, by namespace |
//! | `drain`, `serve`, `metrics`, `client` | signals, health, figures, calls with a time of their own |

// The runner's future holds those of the S3 client, whose types nest deeper than the default.
#![recursion_limit = "256"]

mod agent;
mod attempt;
mod client;
pub mod config;
pub mod decide;
mod drain;
mod journal;
mod kept;
mod lease;
mod metrics;
mod node_meta;
mod register;
pub mod report;
mod s3_access;
mod seal;
mod seen;
mod serve;
mod sweep;
mod term;
mod watch;

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};
use tracing::error;

use self::config::Config;

/// The agent, from its flags to its end. The caller has called `runner::role::enter`.
pub fn main() -> ExitCode {
    let config = match Config::read() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("wasmjob-agent: {error}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::new(&config.log)).with_writer(std::io::stderr).init();
    leave_no_core();
    // Whoever made a client before has chosen the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "unable to start");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(agent::run(config));
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = client::chain(&error), "ended");
            ExitCode::FAILURE
        }
    }
}

/// Memory holds what was read of Secrets: it goes to no file when the process dies.
fn leave_no_core() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "unable to forbid core files");
    }
}
