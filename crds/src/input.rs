//! What comes in: files under mount paths, and stdin.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rules;
use crate::source::{ConfigMapKeyRef, ConfigMapSource, HttpSource, IpfsSource, S3Source, Source};

/// Files the guest reads, in a directory of its own. Exactly one of http, s3, ipfs, configMap and inline is set.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = rules::exactly_one_source())]
#[x_kube(validation = Rule::new("!has(self.digest) || !has(self.s3) || !has(self.s3.prefix)")
    .message("a digest is of one file, s3.prefix is many: remove digest, or read one object with s3.key").field_path(".digest"))]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Name of the input, unique among the inputs: lower-case letters, digits and -.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::dns_label())]
    pub name: String,
    /// Directory in which the guest finds the files, absolute (/data) or relative to its working directory, which is /.
    /// Default: /inputs for the first input, /inputs/NAME for every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::mount_path())]
    pub mount_path: Option<String>,
    /// One file behind a URL. It is named by the server's Content-Disposition, else by the URL's last path segment, else as the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// One object, or every object under a prefix, in an S3 bucket. One object is named by the last segment of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Source>,
    /// A file or a directory in IPFS. A directory's files keep their paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<IpfsSource>,
    /// One key of a ConfigMap, as a file named after it, or all of its keys. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
    /// Padded standard base64 of one file of at most 32 KiB, named as the input. It is part of every write of this object: keep it small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43_692))]
    #[x_kube(validation = rules::inline())]
    pub inline: Option<String>,
    /// SHA-256 of an input that is one file, as sha256: and 64 lower-case hex digits. Other bytes end the run with DigestMismatch before
    /// the guest starts. Default: not checked (ipfs is always checked against its CID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What the guest reads on stdin. Exactly one of value, valueFrom and input is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = ("[has(self.value), has(self.valueFrom), has(self.input)].filter(set, set).size() == 1", "must have exactly one of value (text), valueFrom (a ConfigMap's key) and input (a file of one of the inputs)"))]
#[serde(rename_all = "camelCase")]
pub struct Stdin {
    /// The text itself, at most 32768 characters; for more, or for binary data, name an input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    #[x_kube(validation = rules::no_nul())]
    pub value: Option<String>,
    /// The text of a ConfigMap's key. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// A file of one of the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<StdinInput>,
}

/// Where a value comes from.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a ConfigMap in the job's namespace.
    pub config_map_key_ref: ConfigMapKeyRef,
}

/// A file of an input.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StdinInput {
    /// Name of one of the inputs.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Path of the file in that input, such as data/points.csv. May be left out where the input is one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::relative_path())]
    pub path: Option<String>,
}

// === impl Input ===

impl Input {
    /// The one source that is set.
    pub fn source(&self) -> Option<Source<'_>> {
        Source::exactly_one(self.http.as_ref(), self.s3.as_ref(), self.ipfs.as_ref(), self.config_map.as_ref(), self.inline.as_deref())
    }
}
