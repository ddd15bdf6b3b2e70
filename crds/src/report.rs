//! What a runner says of one attempt: how it ended, what it left, what it took. The caller turns it into status.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::reason::Reason;
use crate::text;

/// Bytes that are base64 in JSON.
pub use k8s_openapi::ByteString;

/// One attempt, ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub outcome: Outcome,
    /// Absent when the module never arrived.
    pub module: Option<ModuleReport>,
    pub stdout: StreamReport,
    pub stderr: StreamReport,
    /// One for each output that holds at least one file or was published, in the spec's order.
    pub results: Vec<ResultReport>,
    /// Files for ConfigMaps, of those outputs that become some.
    pub config_maps: Vec<ConfigMapFiles>,
    /// Names of the optional inputs whose source had nothing there, in the spec's order.
    #[serde(default)]
    pub absent_inputs: Vec<String>,
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

/// One output with files in it, or published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultReport {
    /// The output's name.
    pub name: String,
    /// Where it was published (`s3://bucket/prefix/`), or absent where it is only kept.
    pub uri: Option<String>,
    /// The other places where it was published.
    pub more_uris: Vec<String>,
    pub size_bytes: u64,
    pub files: u64,
    /// Of the manifest: the canonical list of its files, and of what was published beside them, with their sizes and digests.
    pub digest: Digest,
}

/// One output's files for the ConfigMaps that the operator makes of it. They travel in the report, and are few and small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapFiles {
    /// The output's name.
    pub output: String,
    /// By key.
    pub files: BTreeMap<String, ByteString>,
}

/// Why no ConfigMap can be made of some files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoConfigMap {
    #[error(
        "{bytes} bytes, names, stdout, stderr and exitCode included, are more than the {CONFIG_MAP_BYTES} of a ConfigMap: write less, or publish to s3"
    )]
    TooLarge { bytes: usize },
    #[error(
        "{keys} files, stdout, stderr and exitCode included, are more than the {CONFIG_MAP_KEYS} of a ConfigMap: write fewer, or publish to s3"
    )]
    TooMany { keys: usize },
    #[error("{key:?} is no key of a ConfigMap: write files at the top, named with letters, digits, -, _ and ., or publish to s3")]
    Key { key: String },
}

/// Most bytes of a ConfigMap's keys and values together, and most keys.
pub const CONFIG_MAP_BYTES: usize = 16 << 10;
pub const CONFIG_MAP_KEYS: usize = 64;

// === impl ConfigMapFiles ===

impl ConfigMapFiles {
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|(key, value)| key.len() + value.0.len()).sum()
    }

    /// # Errors
    /// The API server would not take them, or they are more than may be made of a result.
    pub fn check(&self) -> Result<(), NoConfigMap> {
        let fits = |key: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            (1..=253).contains(&key.len()) && key.chars().all(plain) && key != "." && !key.starts_with("..")
        };
        if let Some(key) = self.files.keys().find(|key| !fits(key)) {
            return Err(NoConfigMap::Key { key: text::head(key, 253) });
        }
        match (self.files.len(), self.bytes()) {
            (keys, _) if keys > CONFIG_MAP_KEYS => Err(NoConfigMap::TooMany { keys }),
            (_, bytes) if bytes > CONFIG_MAP_BYTES => Err(NoConfigMap::TooLarge { bytes }),
            _ => Ok(()),
        }
    }
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
