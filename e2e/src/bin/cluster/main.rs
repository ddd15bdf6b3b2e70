//! The program behind `cargo xtask cluster`: a control plane on loopback with the operator and agents as plain processes, which stays
//! in the background until it is told to end. `up` and `down` are short; what stays is this same program, in a session of its own.

mod addresses;
mod down;
mod probe;
mod serve;
mod state;
mod stores;
mod up;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask cluster", about = "A Kubernetes control plane on loopback, with the operator and agents.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start it, unless it runs; the last line printed is the kubeconfig's path.
    Up(Wishes),
    /// Stop what `up` started, and wait until all of it is gone.
    Down,
    /// What `up` leaves in the background.
    #[command(hide = true)]
    Serve(Wishes),
}

/// What shall run.
#[derive(Args, Clone, Debug)]
struct Wishes {
    /// How many agents, each on a node of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=100))]
    agents: u8,
    /// Where to write the administrator's kubeconfig besides the state folder.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// MinIO (S3) and kubo (IPFS) too.
    #[arg(long)]
    with_stores: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().verb {
        Verb::Up(wishes) => up::up(&wishes),
        Verb::Down => down::down(),
        Verb::Serve(wishes) => serve::serve(&wishes),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
