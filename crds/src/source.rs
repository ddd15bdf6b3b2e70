//! Where bytes come from: one struct per source kind, and the exactly-one-of view that code matches on.
//!
//! Fetches nothing.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::secret::CredentialsSecretRef;

/// Bytes behind an `http` or `https` URL.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// The http or https URL, without user name and password. At most five redirects are followed, each hop checked like the first.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::url())]
    pub url: String,
}

/// An object, or every object under a prefix, in an S3 bucket.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default, KubeSchema)]
#[x_kube(validation = ("has(self.key) != has(self.prefix)", "must have exactly one of key (one object) and prefix (every object whose key begins with it)"))]
#[x_kube(validation = ("!has(self.pattern) || has(self.prefix)", "pattern chooses among many objects: set it together with prefix, which may be empty"))]
#[x_kube(validation = ("!has(self.versionId) || has(self.key)", "versionId belongs to one object: set it together with key"))]
#[serde(rename_all = "camelCase")]
pub struct S3Source {
    /// Name of the bucket alone: no s3://, no ARN.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::bucket())]
    pub bucket: String,
    /// Key of one object, used exactly as written. Exactly one of key and prefix is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::object_key())]
    pub key: Option<String>,
    /// Every object whose key begins with this; the rest of the key is the file's path below the mount path. Inputs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::key_prefix())]
    pub prefix: Option<String>,
    /// Of the objects under prefix, only those whose path below it matches this glob, such as **/*.csv: * and ? stay within one name,
    /// ** goes through any number of directories, {a,b} is one of several, [a-c] a character. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::glob())]
    pub pattern: Option<String>,
    /// The bucket's region. Default: the runner's own, else us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::region())]
    pub region: Option<String>,
    /// URL of a store that is not AWS, such as https://minio.example.com:9000. Buckets are then addressed in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::endpoint())]
    pub endpoint: Option<String>,
    /// Version of the object, in a bucket that keeps versions. Default: the newest. Only together with key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub version_id: Option<String>,
    /// Secret with the credentials for this store. Default: those that the administrator gave the namespace, for their own endpoint only;
    /// without any, requests are not signed. On the command line: always the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsSecretRef>,
}

/// A file or directory in IPFS. Every block is checked against its CID.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpfsSource {
    /// The bare CID, version 0 (Qm…) or 1 (bafy…).
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::cid())]
    pub cid: String,
    /// Path of a file or directory below the CID, such as images/cat.jpg. Default: the CID itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::relative_path())]
    pub path: Option<String>,
}

/// A module or files in an OCI registry. Manifests and layers are checked against their digests.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OciSource {
    /// The image or artifact, as a container's image is named: ghcr.io/team/prog:1.2, or with the digest of its manifest
    /// ghcr.io/team/prog@sha256:…, which then is checked. Without a registry it is Docker Hub's, without a tag it is latest.
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::image())]
    pub image: String,
}

/// A key of a ConfigMap in the job's own namespace, or all of its keys. Read when an attempt starts.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// Name of the ConfigMap, in the job's namespace.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// One key of it, in data or binaryData. Default, for inputs only: every key is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::config_map_key())]
    pub key: Option<String>,
}

/// A key of a ConfigMap in the job's own namespace, whose text becomes a value.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the ConfigMap, in the job's namespace.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// The key, in data.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::config_map_key())]
    pub key: String,
    /// Where the ConfigMap or the key is not there, there is no value, and the run goes on. Default: it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// What the spec names as the source of a module or an input: exactly one of them, as CEL enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Http(&'a HttpSource),
    S3(&'a S3Source),
    Ipfs(&'a IpfsSource),
    Oci(&'a OciSource),
    /// Only in a cluster, and only until the agent has read it.
    ConfigMap(&'a ConfigMapSource),
    /// Base64 of the bytes themselves.
    Inline(&'a str),
}

// === impl OciSource ===

impl OciSource {
    /// The last name in the image's: `prog` of `ghcr.io/team/prog:1.2`.
    pub fn repository_name(&self) -> &str {
        let name = self.image.split('@').next().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or_default();
        last.split(':').next().unwrap_or_default()
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    /// The one source that is set; `None` when there is none or more than one.
    pub fn exactly_one(
        http: Option<&'a HttpSource>,
        s3: Option<&'a S3Source>,
        ipfs: Option<&'a IpfsSource>,
        oci: Option<&'a OciSource>,
        config_map: Option<&'a ConfigMapSource>,
        inline: Option<&'a str>,
    ) -> Option<Self> {
        let mut set = [
            http.map(Self::Http),
            s3.map(Self::S3),
            ipfs.map(Self::Ipfs),
            oci.map(Self::Oci),
            config_map.map(Self::ConfigMap),
            inline.map(Self::Inline),
        ]
        .into_iter()
        .flatten();
        let only = set.next()?;
        set.next().is_none().then_some(only)
    }
}
