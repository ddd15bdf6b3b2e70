//! Makes a component of a core module that was linked for `wasm32-wasip2` by plain wasm-ld. Its libc carries the interfaces it
//! imports in a custom section; what it still imports from preview 1 is answered by wasmtime's adapter.

use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER};
use wit_component::ComponentEncoder;

pub(super) fn encode(core_module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let encoder = ComponentEncoder::default().validate(true).module(core_module)?;
    encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)?.encode()
}
