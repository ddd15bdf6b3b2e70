//! What a runner says of one attempt: how it ended, what it left, what it took. The caller turns it into status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::reason::Reason;

/// One attempt, ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub outcome: Outcome,
    /// Absent when the module never arrived.
    pub module: Option<ModuleReport>,
    pub stdout: StreamReport,
    pub stderr: StreamReport,
    /// One for each output that holds at least one file, in the spec's order.
    pub results: Vec<ResultReport>,
    /// Attempts of the guest to reach the network: the call's name and how often, by name.
    pub network_denied: Vec<NetworkDenied>,
    pub start_time: jiff::Timestamp,
    pub finish_time: jiff::Timestamp,
    pub durations: Durations,
    pub usage: Usage,
}

/// How the attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub reason: Reason,
    /// The guest's own number where it exited; 134 trap, 124 timeout, 137 memory; absent where no guest ran.
    pub exit_code: Option<i32>,
    /// One sentence for people, what to do next included; at most 1 KiB. Empty on success.
    pub message: String,
}

/// The module that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleReport {
    pub digest: Digest,
    pub size_bytes: u64,
    pub kind: ModuleKind,
}

/// What the bytes of a module are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ModuleKind {
    CoreModule,
    Component,
}

/// What one of the guest's two streams carried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// Its last bytes, at most 4 KiB, as UTF-8 with replacement characters.
    pub tail: String,
    /// Bytes the guest wrote.
    pub bytes: u64,
    /// Bytes beyond the cap were dropped.
    pub truncated: bool,
}

/// One output with files in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultReport {
    /// The output's name.
    pub name: String,
    /// Where it was published (`s3://bucket/prefix/`), or absent where it is only kept.
    pub uri: Option<String>,
    pub size_bytes: u64,
    pub files: u64,
    /// Of the manifest: the canonical list of its files with their sizes and digests.
    pub digest: Digest,
}

/// A network call of the guest that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkDenied {
    /// The import's name, such as `sock_send` or `wasi:sockets/tcp-create-socket`.
    pub call: String,
    pub times: u64,
}

/// How long each phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Durations {
    /// Fetching and checking the module and the inputs; 0 where all of them were there already.
    pub fetch_milliseconds: i64,
    /// Compiling the module; 0 where the compiled module was there already.
    pub compile_milliseconds: i64,
    /// Creating the guest: linking, memory, mounts. Microseconds.
    pub instantiate_microseconds: i64,
    /// From the guest's first instruction to its end.
    pub run_milliseconds: i64,
    /// Publishing the results.
    pub publish_milliseconds: i64,
}

/// What the guest used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Processor time of the guest.
    pub cpu_milliseconds: i64,
    /// Highest size of its linear memories together.
    pub peak_memory_bytes: i64,
    /// Fuel it burnt; only where wasmLimits.fuel is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel_consumed: Option<i64>,
}
