//! What comes in: files under mount paths, and stdin.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::rules;
use crate::secret::{SecretKeyRef, SecretSource};
use crate::source::{ConfigMapKeyRef, ConfigMapSource, HttpSource, IpfsSource, OciSource, S3Source, Source};

/// Files the guest reads, in a directory of its own. Exactly one of http, s3, ipfs, oci, configMap, secret and inline is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = rules::exactly_one_input_source())]
#[x_kube(validation = Rule::new("!has(self.digest) || !has(self.secret)")
    .message("a digest of a Secret would tell of what it holds: remove digest").field_path(".digest"))]
#[x_kube(validation = Rule::new("!has(self.digest) || !has(self.s3) || !has(self.s3.prefix)")
    .message("a digest is of one file, s3.prefix is many: remove digest, or read one object with s3.key").field_path(".digest"))]
#[x_kube(validation = Rule::new("!has(self.unpack) || !has(self.s3) || !has(self.s3.prefix)")
    .message("unpack is of one archive, s3.prefix is many: read one object with s3.key").field_path(".unpack"))]
#[x_kube(validation = Rule::new("!has(self.unpack) || !has(self.configMap) || has(self.configMap.key)")
    .message("unpack is of one archive: name the key of the ConfigMap that holds it").field_path(".unpack"))]
#[x_kube(validation = Rule::new("!has(self.optional) || !self.optional || !has(self.secret)")
    .message("what a job needs of a Secret is read before it starts, and has to be there: remove optional").field_path(".optional"))]
#[x_kube(validation = Rule::new("!has(self.unpack) || !has(self.secret)")
    .message("a Secret stays in memory and is not unpacked: remove unpack").field_path(".unpack"))]
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
    /// The files of an OCI artifact: each layer is one, named by its title annotation (org.opencontainers.image.title), as oras push
    /// makes them. A single layer without a title is named as the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    /// One key of a ConfigMap, as a file named after it, or all of its keys. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
    /// One key of a Secret, as a file named after it, or all of its keys: in memory, for this run alone. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSource>,
    /// Padded standard base64 of one file of at most 32 KiB, named as the input. It is part of every write of this object: keep it small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43_692))]
    #[x_kube(validation = rules::inline())]
    pub inline: Option<String>,
    /// SHA-256 of an input that is one file, as sha256: and 64 lower-case hex digits. Other bytes end the run with DigestMismatch before
    /// the guest starts. Default: not checked (ipfs is always checked against its CID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Unpacks the one file that this input is: the guest sees what the archive holds. Tar: as it is; TarGz and TarZst: compressed. At most
    /// 10000 files and directories, and 1 GiB plus a hundred times the archive's own size. An archive with links, devices, absolute paths, ..
    /// or the same name twice is refused. Default: the file stays what it is. digest is of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpack: Option<Unpack>,
    /// Where the source has nothing there, the directory is empty and the run goes on; status.absentInputs names the input. Default: the run
    /// fails with FetchNotFound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Formats of archives that are unpacked.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Unpack {
    Tar,
    TarGz,
    TarZst,
}

/// What the guest reads on stdin. Exactly one of value, valueFrom and input is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = ("[has(self.value), has(self.valueFrom), has(self.input)].filter(set, set).size() == 1", "must have exactly one of value (text), valueFrom (a key of a ConfigMap or Secret) and input (a file of one of the inputs)"))]
#[serde(rename_all = "camelCase")]
pub struct Stdin {
    /// The text itself, at most 32768 characters; for more, or for binary data, name an input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    #[x_kube(validation = rules::no_nul())]
    pub value: Option<String>,
    /// The text of a key of a ConfigMap or Secret. Only in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// A file of one of the inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<StdinInput>,
}

/// Where a value comes from. Exactly one of configMapKeyRef and secretKeyRef is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = ("has(self.configMapKeyRef) != has(self.secretKeyRef)", "must have exactly one of configMapKeyRef and secretKeyRef"))]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A key of a ConfigMap in the job's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// A key of a Secret in the job's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
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
    /// The one source that is set; none where it is a Secret, which is fetched from nowhere.
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
