//! The WASI context of a guest: the only place in the workspace that builds one.
//!
//! Grants arguments, variables, three streams and the job's directories. Opens no network and inherits nothing.

use std::fs::File;

use wasmtime_wasi::cli::{InputFile, OutputFile};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::order::Order;

/// Most random bytes of one call; what it takes must not be the guest's to choose.
const LARGEST_RANDOM_BYTES: u64 = 1 << 20;

/// The guest's three streams.
pub(crate) struct Streams {
    pub(crate) stdin: File,
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

/// A context with exactly what the order names.
///
/// # Errors
/// A directory that the order names cannot be opened: the machine's fault, not the guest's.
pub(crate) fn context(order: &Order, streams: Streams) -> wasmtime::Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .args(&order.args)
        .envs(&order.env)
        .stdin(InputFile::new(streams.stdin))
        .stdout(OutputFile::new(streams.stdout))
        .stderr(OutputFile::new(streams.stderr))
        .allow_blocking_current_thread(true)
        .max_random_size(LARGEST_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .socket_addr_check(|_, _| Box::pin(async { false }));
    for preopen in &order.preopens {
        let permissions = if preopen.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        builder.preopened_dir(&preopen.host, &preopen.guest, permissions)?;
    }
    Ok(builder)
}
