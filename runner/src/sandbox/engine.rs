//! The wasmtime engine: which proposals guests may use, how they are compiled, and the name under which compiled code is kept.
//!
//! No epoch and, unless the job sets it, no fuel: the deadline is SIGKILL from outside, so a guest's loops pay nothing.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine, OptLevel};

/// Stack of WebAssembly frames where the job names none.
pub(crate) const DEFAULT_STACK_BYTES: u64 = 1 << 20;
/// Host frames live on the same fiber, above the guest's.
const HOST_STACK_BYTES: u64 = 2 << 20;

/// How much work the compiler puts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tier {
    /// `OptLevel::None`: about a third faster to build for big modules.
    Baseline,
    /// `OptLevel::Speed`.
    Optimized,
}

/// The engine for compiling (`tier`) and running guests.
///
/// # Errors
/// The host's processor or configuration does not suit wasmtime: no guest can run on this machine.
pub(crate) fn engine(tier: Tier, fuel: bool, stack_bytes: u64) -> wasmtime::Result<Engine> {
    let stack = usize::try_from(stack_bytes).unwrap_or(usize::MAX / 2);
    let host_stack = usize::try_from(HOST_STACK_BYTES).expect("small");
    let mut config = Config::new();
    config
        .cranelift_opt_level(match tier {
            Tier::Baseline => OptLevel::None,
            Tier::Optimized => OptLevel::Speed,
        })
        .consume_fuel(fuel)
        .max_wasm_stack(stack)
        .async_stack_size(stack.saturating_add(host_stack))
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false);
    Engine::new(&config)
}

/// What compiled code depends on besides the module's bytes, in 16 hex digits.
pub(crate) fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
