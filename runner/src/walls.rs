//! The second wall around a guest, raised in its worker after the order came and before compiled code is loaded: resource limits.
//!
//! Landlock (the attempt's directories and nothing else) and seccomp (no socket, no exec, no new executable memory) belong here, in
//! this order: limits, Landlock, seccomp. They are not raised yet.

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::order::OrderLimits;

/// What a worker needs besides its guest's memory: the runtime, stacks, buffers of host calls, the compiled module's data.
const OWN_BYTES: u64 = 512 << 20;
/// Files a guest may hold open.
const MOST_DESCRIPTORS: u64 = 4096;

/// Raises the walls. A limit that the system refuses is told: a guest never runs with fewer walls than it should.
pub(crate) fn raise(limits: &OrderLimits) -> Result<(), String> {
    let data = limits.memory_bytes.saturating_add(limits.max_stack_bytes).saturating_add(OWN_BYTES);
    for (resource, name, limit) in [
        (Resource::Data, "RLIMIT_DATA", data),
        (Resource::Fsize, "RLIMIT_FSIZE", limits.largest_file_bytes),
        (Resource::Nofile, "RLIMIT_NOFILE", MOST_DESCRIPTORS),
        (Resource::Core, "RLIMIT_CORE", 0),
    ] {
        let limit = limit.min(rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX));
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| format!("failed to set {name} to {limit}: {error}"))?;
    }
    Ok(())
}
