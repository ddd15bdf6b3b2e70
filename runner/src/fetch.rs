//! A source → verified bytes in the store: dispatch, the limits every scheme obeys, and what a fetch yields.
//!
//! Trusts nothing that a server says of itself; runs nothing.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Caps and deadlines of one fetch. They apply while streaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Largest module, in bytes.
    pub module_bytes: u64,
    /// Largest input, all its files together, in bytes.
    pub input_bytes: u64,
    /// Most files and directories in one input.
    pub input_entries: u64,
    pub connect_timeout: Duration,
    /// Longest silence of a server, between two reads.
    pub idle_timeout: Duration,
    /// A transfer slower than this many bytes per second over `rate_window` is given up.
    pub min_bytes_per_second: u64,
    pub rate_window: Duration,
    /// Longest whole fetch of one source.
    pub total_timeout: Duration,
    /// Most redirects in a row.
    pub redirects: u8,
}

/// Bytes fetched so far, for whoever shows progress. Written by the fetch, read by anybody.
#[derive(Debug, Default)]
pub struct Progress {
    pub fetched_bytes: AtomicU64,
    /// 0 while unknown.
    pub total_bytes: AtomicU64,
}

// === impl FetchLimits ===

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            module_bytes: 256 << 20,
            input_bytes: 64 << 30,
            input_entries: 100_000,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(20),
            min_bytes_per_second: 4 << 10,
            rate_window: Duration::from_secs(30),
            total_timeout: Duration::from_secs(3600),
            redirects: 5,
        }
    }
}
