//! Runs one prepared guest to its end. The only code that drives wasmtime, and the only entry to it.
//!
//! How a guest ends is a value here; `Err` does not exist. Knows nothing of sources, networks or Kubernetes, and runs only inside a
//! worker process (or a compiler process), never in the one that holds a token.

pub(crate) mod engine;
pub(crate) mod limits;
pub(crate) mod outcome;
pub(crate) mod run;
pub(crate) mod sockets;
pub(crate) mod wasi;
