//! Starts real programs for tests: MinIO, kubo, and an HTTP server that can misbehave, each on a free loopback port with a
//! folder of its own, stopped by its own process id when dropped, also when a test panics. Nothing here stands in for a real
//! component, and nothing reaches beyond loopback. Holds no assertions about features: those are in `tests/it`.

pub mod bench;
mod components;
mod config;
pub mod kubo;
pub mod minio;
mod process;
pub mod server;

use std::path::PathBuf;

pub use kubo::Kubo;
pub use minio::Minio;
pub use server::{Answer, Server};

/// The built `wasmjob`, which lies beside the test programs.
///
/// # Panics
/// When it is not built: cargo builds the programs of other crates only when asked to.
pub fn wasmjob() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let program = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/PROFILE/deps").join("wasmjob");
    assert!(program.is_file(), "{} is missing: run `cargo build --workspace` first (`cargo xtask test` does)", program.display());
    program
}
