//! `WasmJob`: what to run, and how.
//!
//! The spec holds only fields that something honours. Rules over several fields stand here at their struct, rules of one field in
//! [`crate::rules`].

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::resources::{Resources, WasmLimits};
use crate::rules;
use crate::secret::SecretRef;
use crate::source::{ConfigMapSource, HttpSource, IpfsSource, OciSource, S3Source, Source};
use crate::status::WasmJobStatus;

pub use crate::input::{Input, Stdin, StdinInput, Unpack, ValueFrom};
pub use crate::output::{ConfigMapPublish, Encoding, IpfsPublish, Layout, Output, Place, Publish, S3Publish};

/// What to run and how. Only module is required.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "wasmjob.dev",
    version = "v1alpha1",
    kind = "WasmJob",
    plural = "wasmjobs",
    namespaced,
    shortname = "wj",
    category = "wasmjob",
    doc = "WasmJob runs one WebAssembly module to completion: it fetches the module and its inputs, runs it without a network, and publishes what it wrote.",
    status = "WasmJobStatus",
    derive = "PartialEq",
    // A label's value and a DNS label hold 63 characters; a job's name becomes both.
    validation = ("size(self.metadata.name) <= 63", "metadata.name must be at most 63 characters: it is used as a label"),
    selectable = ".spec.module.digest",
    selectable = ".spec.module.ipfs.cid",
    selectable = ".status.active",
    selectable = ".status.succeeded",
    selectable = ".status.failed",
    selectable = ".status.output.exitCode",
    selectable = ".status.module.digest",
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Finished")].reason"#,
        description = "How the job stands or ended: the reason of its Finished condition."
    ),
    printcolumn(
        name = "Completions",
        type_ = "string",
        json_path = ".status.completionsText",
        description = "Completions that succeeded, of those wanted."
    ),
    printcolumn(
        name = "Exit",
        type_ = "integer",
        json_path = ".status.output.exitCode",
        description = "Exit code of the guest; 134 trap, 137 memory, 124 timeout."
    ),
    printcolumn(
        name = "Duration",
        type_ = "string",
        json_path = ".status.durationText",
        description = "From the start of the run to its end."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Module",
        type_ = "string",
        json_path = ".status.module.digest",
        priority = 1,
        description = "SHA-256 of the module that ran."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.attempts[0].reason",
        priority = 1,
        description = "How the newest attempt ended."
    )
)]
#[x_kube(validation = rules::cancel_stays())]
#[serde(rename_all = "camelCase")]
pub struct WasmJobSpec {
    #[serde(flatten)]
    pub run: WhatToRun,
    /// Failures of the guest that are tried again before the job fails. Failures of fetching, of publishing and of nodes do not count.
    /// Default: 0, a program without a network fails the same way twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub backoff_limit: Option<i32>,
    /// How long to wait before a failure of the guest is tried again. Default: 10 seconds, twice as long each time, up to 360.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_backoff: Option<RetryBackoff>,
    /// Seconds from the start of the job, waiting for retries included, after which it is ended with DeadlineExceeded. Time suspended does
    /// not count: a resumed job has all of it again. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds after its end after which the job is deleted. 0: at once. Default: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 315_360_000))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// While true nothing of the job runs: what was running is ended, and tried again when it becomes false. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Ends the job with reason Cancelled and keeps the object. Can only become true. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
}

/// How long to wait between tries of a guest that fails.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.initialSeconds) || !has(self.maxSeconds) || self.initialSeconds <= self.maxSeconds")
    .message("initialSeconds must not exceed maxSeconds").field_path(".initialSeconds"))]
#[serde(rename_all = "camelCase")]
pub struct RetryBackoff {
    /// Seconds before the first retry; twice as many before each next one. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub initial_seconds: Option<i32>,
    /// Most seconds between two tries. Default: 360.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_seconds: Option<i32>,
}

/// What to run: the half of the spec that every kind with a program in it shares.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new(
    "!has(self.stdin) || !has(self.stdin.input) || (has(self.inputs) && self.inputs.exists(i, i.name == self.stdin.input.name))")
    .message("stdin.input.name must be the name of one of the inputs").field_path(".stdin.input.name"))]
#[x_kube(validation = rules::output_is_no_input())]
#[serde(rename_all = "camelCase")]
pub struct WhatToRun {
    /// The program: a WebAssembly module or component, and where it comes from.
    pub module: ModuleSource,
    /// Exported function of a core module that is called, without arguments and results. Default: _start. Components always run
    /// wasi:cli/run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::guest_name())]
    pub entrypoint: Option<String>,
    /// Arguments of the guest, after its name, which is the module's. At most 256 of at most 32768 characters, 128 KiB together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 32_768)))]
    #[x_kube(validation = rules::no_nul_in_items())]
    #[x_kube(validation = rules::args_total())]
    pub args: Vec<String>,
    /// Environment variables of the guest. It gets these and the ones that describe the run, none of the machine's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Environment variables from the keys of ConfigMaps and Secrets, in this order; env comes after them and wins. Only in a cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub env_from: Vec<EnvFrom>,
    /// What the guest reads on stdin. Default: nothing, it is at its end from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Stdin>,
    /// Files that are fetched and checked before the guest starts and that it reads but cannot change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = rules::input_paths_differ())]
    pub inputs: Vec<Input>,
    /// Directories that the guest writes and that are kept. Default: one, named outputs, at /outputs. An empty list: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = rules::output_paths_apart())]
    pub outputs: Option<Vec<Output>>,
    /// What the run needs and may use of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Limits of the WebAssembly engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm_limits: Option<WasmLimits>,
    /// Seconds that the guest may run, fetching and publishing not counted. A guest that runs longer is killed: reason Timeout, exit code
    /// 124. Default: the administrator's; none on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub timeout_seconds: Option<i64>,
}

/// A WebAssembly module or component. Exactly one of http, s3, ipfs, oci, configMap and inline is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = rules::exactly_one_source())]
#[x_kube(validation = Rule::new("!has(self.s3) || !has(self.s3.prefix)")
    .message("a module is one object: write key in place of prefix").field_path(".s3.prefix"))]
#[x_kube(validation = Rule::new("!has(self.configMap) || has(self.configMap.key)")
    .message("a module is one key of a ConfigMap: write configMap.key").field_path(".configMap"))]
#[serde(rename_all = "camelCase")]
pub struct ModuleSource {
    /// A module behind a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// A module that is an object in an S3 bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Source>,
    /// A module that is a file in IPFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<IpfsSource>,
    /// A module in an OCI registry: an artifact or image with exactly one layer of type application/wasm (or another +wasm type), as wkg
    /// and oras push them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    /// A module that is a key of a ConfigMap, in binaryData or data. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
    /// Padded standard base64 of a module of at most 32 KiB. It is part of every write of this object: keep it small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43_692))]
    #[x_kube(validation = rules::inline())]
    pub inline: Option<String>,
    /// SHA-256 of the module, as sha256: and 64 lower-case hex digits, checked whatever the source. Other bytes end the run with
    /// DigestMismatch before anything is executed. Default: not checked (ipfs is always checked against its CID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Environment variables from an object. Exactly one of configMapRef and secretRef is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = ("has(self.configMapRef) != has(self.secretRef)", "must have exactly one of configMapRef and secretRef"))]
#[serde(rename_all = "camelCase")]
pub struct EnvFrom {
    /// Put before each key. Default: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::env_prefix())]
    pub prefix: String,
    /// A ConfigMap in the job's namespace: each key in its data becomes a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
    /// A Secret in the job's namespace: each of its keys becomes a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// A ConfigMap.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// Its name, in the job's namespace.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// Where it is not there, there are no variables, and the run goes on. Default: it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// An environment variable of the guest.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.value) || !has(self.valueFrom)").message("must have at most one of value and valueFrom"))]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable, unique among them.
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::env_name())]
    pub name: String,
    /// Its value, at most 32768 characters. Default: the empty text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32_768))]
    #[x_kube(validation = rules::no_nul())]
    pub value: String,
    /// The text of a key of a ConfigMap or Secret, in place of value. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

// === impl ModuleSource ===

impl ModuleSource {
    /// The one source that is set.
    pub fn source(&self) -> Option<Source<'_>> {
        Source::exactly_one(
            self.http.as_ref(),
            self.s3.as_ref(),
            self.ipfs.as_ref(),
            self.oci.as_ref(),
            self.config_map.as_ref(),
            self.inline.as_deref(),
        )
    }
}

// === impl WhatToRun ===

impl WhatToRun {
    /// SHA-256, in hex, of what is to run: canonical JSON, keys sorted, fields at their defaults left out, so that neither `kubectl scale`
    /// nor a newer schema changes it (P2). A field that this version does not know is not in it: who does not know it reads another hash
    /// and runs nothing.
    pub fn hash(&self) -> String {
        self.digest().hex()
    }

    /// The hash as bytes.
    pub fn digest(&self) -> Digest {
        let value = serde_json::to_value(self).expect("a spec is made of texts, numbers and maps");
        let mut canonical = String::new();
        canonical_json(&value, &mut canonical);
        Digest::of(canonical.as_bytes())
    }

    /// Where the guest sees input number `position`: as written, else `/inputs` for the first and `/inputs/<name>` for the others.
    pub fn input_mount_path(&self, position: usize) -> String {
        mount_path(self.inputs[position].mount_path.as_deref(), "/inputs", "/inputs/", &self.inputs[position].name, position)
    }

    /// The outputs, the default one included, with their mount paths filled in: as written, else `/outputs` for the first and `/<name>`
    /// for the others. (Not below `/outputs`: a file there would belong to two outputs.)
    pub fn effective_outputs(&self) -> Vec<Output> {
        let declared = self
            .outputs
            .clone()
            .unwrap_or_else(|| vec![Output { name: "outputs".to_owned(), mount_path: None, size_limit: None, publish: Vec::new() }]);
        declared
            .into_iter()
            .enumerate()
            .map(|(position, output)| Output {
                mount_path: Some(mount_path(output.mount_path.as_deref(), "/outputs", "/", &output.name, position)),
                ..output
            })
            .collect()
    }
}

/// JSON with the keys of each object in order, whatever the map that holds them.
fn canonical_json(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            out.push('{');
            for (position, (key, value)) in sorted.into_iter().enumerate() {
                out.push_str(if position == 0 { "" } else { "," });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical_json(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                out.push_str(if position == 0 { "" } else { "," });
                canonical_json(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn mount_path(written: Option<&str>, first: &str, parent_of_others: &str, name: &str, position: usize) -> String {
    match (written, position) {
        (Some(path), _) => path.to_owned(),
        (None, 0) => first.to_owned(),
        (None, _) => format!("{parent_of_others}{name}"),
    }
}

#[cfg(test)]
mod tests;
