//! Where `cargo xtask components` keeps what it built. The only file of this crate that reads the environment.

use std::path::PathBuf;

use anyhow::Context as _;

/// The folder that outlives a run: `WASMJOB_CACHE`, or `wasmjob` in the user's cache folder, as in `xtask/src/config.rs`.
///
/// # Errors
/// When the environment names no such folder.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub fn cache() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("WASMJOB_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("wasmjob")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/wasmjob")))
        .context("no cache folder: set WASMJOB_CACHE, XDG_CACHE_HOME or HOME")
}
