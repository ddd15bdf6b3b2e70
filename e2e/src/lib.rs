//! Starts real programs for tests: a Kubernetes control plane, MinIO, kubo, an OCI registry, and an HTTP server that can misbehave, each on a free
//! loopback port with a folder of its own, stopped by its own process id when dropped, also when a test panics. Nothing here
//! stands in for a real component, and nothing reaches beyond loopback. Holds no assertions about features: those are in `tests/it`.

pub mod bench;
pub mod cable;
pub mod cluster;
mod components;
mod config;
pub mod kubo;
pub mod minio;
mod process;
pub mod registry;
pub mod server;
pub mod tap;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

pub use cluster::Cluster;
pub use config::cache;
pub use kubo::Kubo;
pub use minio::Minio;
pub use registry::Registry;
pub use server::{Answer, Server};

/// The built `wasmjob`, which lies beside the test programs.
///
/// # Panics
/// When it is not built: cargo builds the programs of other crates only when asked to.
pub fn wasmjob() -> PathBuf {
    built("wasmjob").expect("the program that is tested is built")
}

/// A program of this workspace, built beside this one.
///
/// # Errors
/// When it is not built: cargo builds the programs of other crates only when asked to.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("a running program has a path")?;
    let folder = own.parent().context("programs lie in a folder")?;
    // Tests lie in target/PROFILE/deps, programs in target/PROFILE.
    let folder = if folder.ends_with("deps") { folder.parent().context("deps lies in a folder")? } else { folder };
    let program = folder.join(name);
    if !program.is_file() {
        bail!("{} is missing: run `cargo build --workspace` first (`cargo xtask test` does)", program.display());
    }
    Ok(program)
}
