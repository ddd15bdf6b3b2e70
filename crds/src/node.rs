//! `WasmNode`: what a node shall run, and what it says of it. One object per node, named after it, in its pool's namespace.
//!
//! Internal: users read it, administrators set `unschedulable`. The operator alone writes the rest of spec, that node's agent alone writes
//! status (the assignment protocol, P1 to P17). It stays small: references and ranges, no payloads.

mod line;
mod micro;
mod sealed;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reason::Reason;
use crate::report::{ConfigMapFiles, Durations, ModuleReport, NetworkDenied, Outcome, Report, StreamReport, Usage};
use crate::resources::Quantity;
use crate::status::{self, LISTED, MESSAGE_BYTES, ModuleStatus, NetworkDeniedStatus, OutputStatus, ResultStatus};
use crate::{condition, rules, text};

pub use self::line::{CANCEL, Line, REPORT_CHARACTERS, cancelled};
pub use self::sealed::{MOST_SEALED_BYTES, SEALING_INFO, Sealed, key_id, sealed_key, sealing_context};

/// Most entries and reports of one node; slots are fewer.
pub const MOST_ENTRIES: usize = 256;

/// What the node shall run. Written by the operator; unschedulable by administrators.
#[expect(clippy::duplicated_attributes, reason = "every column has a type")]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "wasmjob.dev",
    version = "v1alpha1",
    kind = "WasmNode",
    plural = "wasmnodes",
    namespaced,
    shortname = "wjn",
    category = "wasmjob",
    doc = "WasmNode is one node's share of the work: what it shall run and what it says of it. Operator and agent write it; set spec.unschedulable to drain.",
    status = "WasmNodeStatus",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether its agent takes work."
    ),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.running", description = "Attempts that it runs."),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.allocatable.cpu", description = "CPUs for guests."),
    printcolumn(name = "Memory", type_ = "string", json_path = ".status.allocatable.memory", description = "Memory for guests."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Runtime",
        type_ = "string",
        json_path = ".status.runtime.wasmtime",
        priority = 1,
        description = "Version of wasmtime."
    )
)]
#[x_kube(validation = rules::counters_grow())]
#[serde(rename_all = "camelCase")]
pub struct WasmNodeSpec {
    /// No new work is given to this node; what it has ends. The administrator's switch for a drain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unschedulable: bool,
    /// Of the operator's leader that wrote last; never goes back.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Of the operator's writes; each tests and raises it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub sequence: i64,
    /// What it shall run, by id: job UID, run, first index and attempt. An entry never changes, but for cancel.
    #[serde(default, with = "line")]
    #[schemars(schema_with = "assignments_schema")]
    pub assignments: BTreeMap<String, Assignment>,
    /// What its runs need of Secrets, by job UID and run, sealed to the node's public key.
    #[serde(default, with = "line")]
    #[schemars(schema_with = "sealed_schema")]
    pub sealed: BTreeMap<String, Sealed>,
}

/// One attempt of one job on this node.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// What to run.
    pub job: AssignedJob,
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// 128 random bits in hex. Ids repeat, fences never do.
    pub fence: String,
    /// Indexes as ranges: 0, 0-99,120.
    pub indexes: String,
    /// End it and report. Can only become true: it stands before the entry's line.
    #[serde(skip)]
    pub cancel: bool,
    /// The line that this was read from; none if it was not.
    #[serde(skip)]
    pub read_as: Option<Arc<str>>,
}

/// The job of an assignment, so that an agent runs what was meant or nothing.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AssignedJob {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: another object under the same name is another job.
    pub uid: String,
    /// Number of its run, from 1.
    pub run: i64,
    /// Generation of the spec that was read.
    pub generation: i64,
    /// Hash of what to run: other bytes are not run.
    pub spec_hash: String,
}

/// How the node stands and what it runs. Written by its agent.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[x_kube(validation = rules::sequence_grows())]
#[serde(rename_all = "camelCase")]
pub struct WasmNodeStatus {
    /// UID of the agent's pod; empty until an agent has written.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub agent: String,
    /// Of the agent's writes; each tests and raises it.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub sequence: i64,
    /// The agent's key (X25519, in base64), made when it starts: what its runs need of Secrets is sealed to it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub public_key: String,
    /// Attempts that are running, as of the newest write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<i32>,
    /// What guests may use together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocatable: Option<NodeResources>,
    /// What it runs them with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<NodeRuntime>,
    /// What it says of the entries in spec, by id. A report stays until its entry is gone.
    #[serde(default, with = "line")]
    #[schemars(schema_with = "reports_schema")]
    pub reports: BTreeMap<String, AssignmentReport>,
    /// Ready: whether the agent takes work, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "condition::list_schema")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Room for guests.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeResources {
    /// CPUs.
    pub cpu: Quantity,
    /// Bytes of memory, all guests together.
    pub memory: Quantity,
    /// Attempts at once.
    #[schemars(range(min = 0, max = 1024))]
    pub slots: i32,
}

/// The runtime of a node.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRuntime {
    /// Version of the agent.
    #[schemars(length(max = 64))]
    pub agent: String,
    /// Version of wasmtime.
    #[schemars(length(max = 64))]
    pub wasmtime: String,
    /// Interfaces that guests may use: Preview1, Preview2.
    #[schemars(length(max = 8), inner(length(max = 32)))]
    pub wasi: Vec<String>,
}

/// What the agent says of one entry.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentReport {
    /// The entry's fence. A report with another one counts for nothing.
    pub fence: String,
    /// Running, once it outlived a second; Ended, when it has come to its end, however.
    pub stage: ReportStage,
    /// When the attempt started, to the microsecond.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "micro::optional")]
    pub start_time: Option<Time>,
    /// How it ended; only with stage Ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<EndedReport>,
}

/// Where an attempt stands, as far as the operator has to know.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStage {
    Running,
    Ended,
}

/// How an attempt ended.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EndedReport {
    /// In one word. Versions mix, so this is no closed list here.
    pub reason: String,
    /// In a sentence; empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it ended, to the microsecond.
    #[serde(with = "micro")]
    pub finish_time: Time,
    /// What the guest returned and printed; absent where none ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputStatus>,
    /// The module that ran; absent where it never arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleStatus>,
    /// The outputs that hold files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ResultStatus>,
    /// Files for ConfigMaps, bounded by what the runner lets through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_maps: Vec<ConfigMapFiles>,
    /// Optional inputs that were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent_inputs: Vec<String>,
    /// Refused network calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_denied: Vec<NetworkDeniedStatus>,
    /// How long each phase took.
    #[serde(default)]
    pub durations: Durations,
    /// What the guest used.
    #[serde(default)]
    pub usage: Usage,
}

// === impl EndedReport ===

impl EndedReport {
    /// What a runner said, within the bounds of the schema.
    pub fn of(report: &Report) -> Self {
        let ran = report.outcome.exit_code.is_some() || report.stdout.bytes > 0 || report.stderr.bytes > 0;
        Self {
            reason: report.outcome.reason.name().to_owned(),
            message: text::head(&report.outcome.message, MESSAGE_BYTES),
            finish_time: Time(report.finish_time),
            output: ran.then(|| status::output(report)),
            module: report.module.as_ref().map(ModuleStatus::of),
            results: status::results(report, None),
            config_maps: report.config_maps.clone(),
            absent_inputs: status::absent_inputs(report),
            network_denied: report.network_denied.iter().take(LISTED).map(status::network_denied).collect(),
            durations: report.durations,
            usage: report.usage,
        }
    }

    /// An ending without a guest, such as `Refused` or `AgentRestarted`.
    pub fn without_guest(reason: Reason, message: &str, at: Timestamp) -> Self {
        Self {
            reason: reason.name().to_owned(),
            message: text::head(message, MESSAGE_BYTES),
            finish_time: Time(at),
            output: None,
            module: None,
            results: Vec::new(),
            config_maps: Vec::new(),
            absent_inputs: Vec::new(),
            network_denied: Vec::new(),
            durations: Durations::default(),
            usage: Usage::default(),
        }
    }

    /// The smallest report of the same ending: what is left of one that the API server refused (P13).
    #[must_use]
    pub fn shrunk(&self) -> Self {
        let exit_code = self.output.as_ref().and_then(|output| output.exit_code);
        let mut shrunk = match Reason::from_name(&self.reason) {
            Some(reason) => Self::without_guest(reason, "", self.finish_time.0),
            None => Self::without_guest(Reason::WorkerKilled, "", self.finish_time.0),
        };
        shrunk.output = exit_code.map(|code| OutputStatus { exit_code: Some(code), truncated: true, ..OutputStatus::default() });
        shrunk
    }

    /// The ending as the status is made of it. A reason that this version does not know is told in the message of `WorkerKilled`, which is
    /// tried again. What a hostile agent wrote is bounded like what a guest wrote, when it becomes status.
    pub fn report(&self, start: Option<Timestamp>) -> Report {
        let (reason, message) = match Reason::from_name(&self.reason) {
            Some(reason) => (reason, self.message.clone()),
            None => (
                Reason::WorkerKilled,
                format!("ended with {}, which this operator does not know: upgrade it. {}", self.reason, self.message),
            ),
        };
        let output = self.output.clone().unwrap_or_default();
        let stream = |tail: &str| StreamReport { tail: tail.to_owned(), bytes: tail.len() as u64, truncated: output.truncated };
        Report {
            outcome: Outcome { reason, exit_code: output.exit_code, message },
            module: self.module.as_ref().map(|module| ModuleReport {
                digest: module.digest,
                size_bytes: unsigned(module.size_bytes),
                kind: module.kind,
            }),
            stdout: stream(&output.stdout_tail),
            stderr: stream(&output.stderr_tail),
            results: self.results.iter().map(ResultStatus::report).collect(),
            config_maps: self.config_maps.clone(),
            absent_inputs: self.absent_inputs.clone(),
            network_denied: self
                .network_denied
                .iter()
                .map(|denied| NetworkDenied { call: denied.call.clone(), times: unsigned(denied.times) })
                .collect(),
            start_time: start.unwrap_or(self.finish_time.0),
            finish_time: self.finish_time.0,
            durations: self.durations,
            usage: self.usage,
        }
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The id of an assignment, which is its key: f(job UID, run, first index of the chunk, attempt) (P1).
pub fn assignment_id(uid: &str, run: i64, first_index: i64, attempt: i32) -> String {
    format!("{uid}-{run}-{first_index}-{attempt}")
}

/// Longest key of the two maps: a UID and three numbers.
const KEY_CHARACTERS: usize = 96;

fn assignments_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    map_schema(
        line::ENTRY_CHARACTERS,
        "What it shall run, by id: job UID, run, first index and attempt. Each is a line of JSON: job (namespace, name, uid, run, generation, specHash), attempt, fence (128 random bits in hex: ids repeat, fences never do) and indexes as ranges. An entry never changes, but that the word cancel comes before it: end it and report.",
        &[
            rules::short_keys(KEY_CHARACTERS),
            (
                format!("oldSelf.all(id, !(id in self) || self[id] == oldSelf[id] || self[id] == '{CANCEL}' + oldSelf[id])"),
                "an entry never changes, but for cancel, which can only become true: remove it and add another".to_owned(),
            ),
        ],
    )
}

fn reports_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    map_schema(
        line::REPORT_CHARACTERS,
        "What it says of the entries in spec, by id. Each is a line of JSON: the entry's fence, stage (Running, once it outlived a second; Ended), startTime, and how it ended: reason, message, finishTime, output, module, results, configMaps, networkDenied, durations, usage. A report stays until its entry is gone.",
        &[rules::short_keys(KEY_CHARACTERS)],
    )
}

fn sealed_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    map_schema(
        sealed::SEALED_CHARACTERS,
        "What its runs need of Secrets, by job UID and run: nobody but the node's agent can open it. Each is a line of JSON: keyId (of the public key in status) and value (HPKE, RFC 9180, in base64; bound to this node, job and run). Written with the first assignment that needs it, replaced when the key changes, gone with the last.",
        &[rules::short_keys(KEY_CHARACTERS)],
    )
}

/// A map whose leaves no field manager tracks one by one: that would make the object and its writes nearly twice as dear.
fn map_schema(characters: usize, description: &str, rules: &[(String, String)]) -> schemars::Schema {
    let rules: Vec<_> = rules.iter().map(|(rule, message)| serde_json::json!({ "rule": rule, "message": message })).collect();
    schemars::json_schema!({
        "type": "object",
        "description": description,
        "x-kubernetes-map-type": "atomic",
        "maxProperties": MOST_ENTRIES,
        "additionalProperties": { "type": "string", "maxLength": characters },
        "x-kubernetes-validations": rules,
    })
}

#[cfg(test)]
mod tests;
