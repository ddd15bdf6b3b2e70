//! Resource limits: the memory wall of a process, and what else it may use up. They hold for every thread, and only ever get lower.
//!
//! `RLIMIT_DATA` counts what is private and can be written. What it does not count (shared maps, maps that grow) is `filter`'s.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Error;
use crate::order::OrderLimits;

/// What a worker needs besides its guest's memory: the runtime, stacks, buffers of host calls, the compiled module's data.
const OWN_BYTES: u64 = 512 << 20;
/// Files that a guest may hold open.
const MOST_DESCRIPTORS: u64 = 4096;
/// Memory that one compilation may take, and with it the largest file that it can write.
const COMPILER_BYTES: u64 = 2 << 30;
/// CPU time after which a compilation that nobody waits for ends.
const COMPILER_TIME: Duration = Duration::from_mins(10);

type Limit = (Resource, &'static str, u64);

pub(super) fn of_worker(limits: &OrderLimits) -> Result<(), Error> {
    let data = limits.memory_bytes.saturating_add(limits.max_stack_bytes).saturating_add(OWN_BYTES);
    lower([
        (Resource::Data, "RLIMIT_DATA", data),
        (Resource::Fsize, "RLIMIT_FSIZE", limits.largest_file_bytes),
        (Resource::Nofile, "RLIMIT_NOFILE", MOST_DESCRIPTORS),
        (Resource::Core, "RLIMIT_CORE", 0),
    ])
}

pub(super) fn of_compiler() -> Result<(), Error> {
    lower([
        (Resource::Data, "RLIMIT_DATA", COMPILER_BYTES),
        (Resource::Fsize, "RLIMIT_FSIZE", COMPILER_BYTES),
        (Resource::Cpu, "RLIMIT_CPU", COMPILER_TIME.as_secs()),
        (Resource::Core, "RLIMIT_CORE", 0),
    ])
}

/// The first to go when memory is short: these processes hold nothing that cannot be made again. Where `/proc` cannot be written the
/// kernel chooses as it always does.
pub(super) fn go_first() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// No program that is started from here on has more rights than this process.
pub(super) fn gain_nothing() -> Result<(), Error> {
    rustix::thread::set_no_new_privs(true).map_err(|error| Error::Limit("no_new_privs", error.into()))
}

fn lower<const N: usize>(limits: [Limit; N]) -> Result<(), Error> {
    for (resource, name, limit) in limits {
        let limit = limit.min(getrlimit(resource).maximum.unwrap_or(u64::MAX));
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) }).map_err(|error| Error::Limit(name, error.into()))?;
    }
    Ok(())
}
