//! Where things are: the checkout and the cache. The only file of this crate that reads the environment.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("the crate lies in the workspace").to_owned()
}

/// The folder outside the checkout that keeps what is built once: `WASMJOB_CACHE`, or `wasmjob` in the user's cache folder.
/// `e2e/src/config.rs` looks in the same place.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("WASMJOB_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("wasmjob")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/wasmjob")))
        .context("no cache folder: set WASMJOB_CACHE, XDG_CACHE_HOME or HOME")
}

/// The first program of that name on `PATH`, if any.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    first_in(&env::var_os("PATH")?, program)
}

/// Where the tools of Kubernetes' own projects keep etcd, kube-apiserver and kubectl for tests.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub(crate) fn kubebuilder_assets() -> Option<PathBuf> {
    env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn first_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The cargo that runs us, so that the toolchain stays the same.
pub(crate) fn cargo() -> std::ffi::OsString {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
