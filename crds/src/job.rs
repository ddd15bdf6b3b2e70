//! `WasmJob`: what to run, and how.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::resources::{Quantity, Resources, WasmLimits};
use crate::source::{HttpSource, IpfsSource, S3Source, Source};
use crate::status::WasmJobStatus;

/// WasmJob runs one WebAssembly module to completion.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(group = "wasmjob.dev", version = "v1alpha1", kind = "WasmJob", plural = "wasmjobs", namespaced, shortname = "wj")]
#[kube(status = "WasmJobStatus", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct WasmJobSpec {
    #[serde(flatten)]
    pub run: WhatToRun,
}

/// What to run: the half of the spec that every kind with a program in it shares.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatToRun {
    pub module: ModuleSource,
    /// Exported function of a core module that is called; components run `wasi:cli/run`. Default `_start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Stdin>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Absent: one output, named `outputs`, at `/outputs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<Output>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wasm_limits: Option<WasmLimits>,
    /// Seconds of guest time of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
}

/// The module: exactly one source, and its digest.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModuleSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<IpfsSource>,
    /// Base64 of a module of at most 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// Verified whatever the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
}

/// An environment variable of the guest.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// What the guest reads on stdin: exactly one of the two.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stdin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<StdinInput>,
}

/// A file of an input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StdinInput {
    /// Name of one of `inputs`.
    pub name: String,
    /// Path of the file in that input. May be left out where the input is one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Files the guest reads, in a directory of its own.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    pub name: String,
    /// Directory in which the guest sees the files: default `/inputs` for the first input, `/inputs/<name>` for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<IpfsSource>,
    /// Base64 of a file of at most 32 KiB, named as the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// Of an input that is one file; verified whatever the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
}

/// A directory that the guest writes and that outlives it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    pub name: String,
    /// Default `/outputs` for the first output, `/outputs/<name>` for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
    /// Bytes of all its files together. Default 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
    /// Absent: kept where it ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
}

/// One place that gets an output's files.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    pub s3: S3Publish,
}

/// A prefix in an S3 bucket.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Publish {
    pub bucket: String,
    /// `{namespace}` and `{job}` are replaced. Files land under `<prefix><run>-<index>-<attempt>-<fence>/`, their manifest last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

// === impl ModuleSource ===

impl ModuleSource {
    /// The one source that is set.
    pub fn source(&self) -> Option<Source<'_>> {
        Source::exactly_one(self.http.as_ref(), self.s3.as_ref(), self.ipfs.as_ref(), self.inline.as_deref())
    }
}

// === impl Input ===

impl Input {
    /// The one source that is set.
    pub fn source(&self) -> Option<Source<'_>> {
        Source::exactly_one(self.http.as_ref(), self.s3.as_ref(), self.ipfs.as_ref(), self.inline.as_deref())
    }
}

// === impl WhatToRun ===

impl WhatToRun {
    /// Where the guest sees input number `position`: as written, else `/inputs` for the first and `/inputs/<name>` for the others.
    pub fn input_mount_path(&self, position: usize) -> String {
        mount_path(self.inputs[position].mount_path.as_deref(), "/inputs", &self.inputs[position].name, position)
    }

    /// The outputs, the default one included, with their mount paths filled in.
    pub fn effective_outputs(&self) -> Vec<Output> {
        let declared = self
            .outputs
            .clone()
            .unwrap_or_else(|| vec![Output { name: "outputs".to_owned(), mount_path: None, size_limit: None, publish: Vec::new() }]);
        declared
            .into_iter()
            .enumerate()
            .map(|(position, output)| Output {
                mount_path: Some(mount_path(output.mount_path.as_deref(), "/outputs", &output.name, position)),
                ..output
            })
            .collect()
    }
}

fn mount_path(written: Option<&str>, default: &str, name: &str, position: usize) -> String {
    match (written, position) {
        (Some(path), _) => path.to_owned(),
        (None, 0) => default.to_owned(),
        (None, _) => format!("{default}/{name}"),
    }
}
