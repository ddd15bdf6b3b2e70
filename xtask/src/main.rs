//! The one entry point: `cargo xtask <verb>` builds, checks and tests everything; CI calls `cargo xtask test` and nothing else.
//! One file per verb. Nothing of the product needs this crate to compile.

mod bench;
mod check;
mod cluster;
mod components;
mod config;
mod deny;
mod generate;
mod guests;
mod packages;
mod run;
mod stages;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, checks and tests WasmJob.", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write the files that are made from Rust: CRD YAML and the pages about reasons.
    Generate {
        /// Write nothing; fail if a file differs from its generator.
        #[arg(long)]
        check: bool,
    },
    /// Check the rules of ARCHITECTURE.md that the compiler cannot: crate graph, orphan files, names, promises.
    Tidy,
    /// Format, lints, tidy, generated files, documentation: all that needs no running program.
    Check,
    /// Build the guest programs under examples/.
    Guests(guests::Options),
    /// Build the real programs that tests run against (MinIO, kubo, a registry, etcd, Kubernetes) into the cache, unless they are there.
    Components {
        /// Only these; all of them if none is named.
        names: Vec<String>,
    },
    /// Start (`up`) or stop (`down`) a Kubernetes control plane on loopback with the operator and agents.
    #[command(disable_help_flag = true)]
    Cluster {
        /// Handed to the program: `up [--agents N] [--kubeconfig FILE] [--with-stores]` or `down`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Licences, banned crates, sources and advisories, with cargo-deny (must be installed; not part of `test`).
    Deny,
    /// Install what is needed and run everything that must pass.
    Test,
    /// Measure, and print the table of docs/benchmarks.md.
    Bench {
        /// Handed to the benchmark program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run_verb(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_verb(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Generate { check } => generate::generate(check),
        Verb::Tidy => tidy::tidy(),
        Verb::Check => check::check(),
        Verb::Guests(options) => guests::build(options).map(drop),
        Verb::Components { names } => components::components(&names),
        Verb::Cluster { arguments } => cluster::cluster(&arguments),
        Verb::Deny => deny::deny(),
        Verb::Test => test::test(),
        Verb::Bench { arguments } => bench::bench(&arguments),
    }
}
