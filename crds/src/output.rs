//! What comes out: directories the guest writes, and where their files go.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resources::Quantity;
use crate::rules;
use crate::secret::CredentialsSecretRef;

/// A directory that the guest writes and that outlives it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Name of the output, unique among the outputs: lower-case letters, digits and -.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::dns_label())]
    pub name: String,
    /// Directory that the guest writes, absolute (/plots) or relative to its working directory, which is /. It exists and is empty when
    /// the guest starts. Default: /outputs for the first output, /NAME for every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = rules::mount_path())]
    pub mount_path: Option<String>,
    /// Bytes of all files of the output together, such as 512Mi. A guest that writes more ends with OutputTooLarge. Default: 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::size_limit())]
    pub size_limit: Option<Quantity>,
    /// Places that get the files when the guest has ended, whatever its exit code, and beside them stdout, stderr and exitCode. Default:
    /// none, the files are kept where the run was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub publish: Vec<Publish>,
}

/// One place that gets an output's files. Exactly one of s3, ipfs and configMap is set.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = rules::exactly_one_place())]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// A prefix in an S3 bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Publish>,
    /// A directory in IPFS, pinned by the node that the administrator chose: ipfs: {}. Its CID is in status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfs: Option<IpfsPublish>,
    /// A ConfigMap that is made for them, in the job's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapPublish>,
}

/// The one place that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    S3(&'a S3Publish),
    Ipfs(&'a IpfsPublish),
    ConfigMap(&'a ConfigMapPublish),
}

/// A directory in IPFS. Its CID is the one that ipfs add --cid-version=1 --recursive gives it.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpfsPublish {}

/// A ConfigMap, made when the job has ended and deleted with it. Each file is a key, so that there are no folders; with stdout and stderr
/// (the last 4 KiB of each) and exitCode it holds at most 64 keys and 16 KiB. On the command line none is made.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapPublish {
    /// Its name; {job}, {run} and {index} are replaced. There must be none of this name: one that is there is never changed, and the job
    /// fails with PublishFailed.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::config_map_to_be())]
    pub name: String,
}

// === impl Publish ===

impl Publish {
    /// `None`: there is none, or more than one.
    pub fn place(&self) -> Option<Place<'_>> {
        match (&self.s3, &self.ipfs, &self.config_map) {
            (Some(s3), None, None) => Some(Place::S3(s3)),
            (None, Some(ipfs), None) => Some(Place::Ipfs(ipfs)),
            (None, None, Some(map)) => Some(Place::ConfigMap(map)),
            _ => None,
        }
    }
}

// === impl ConfigMapPublish ===

impl ConfigMapPublish {
    /// The name with its placeholders replaced.
    pub fn filled(&self, job: &str, run: i64, index: i64) -> String {
        self.name.replace("{job}", job).replace("{run}", &run.to_string()).replace("{index}", &index.to_string())
    }
}

/// A prefix in an S3 bucket.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Publish {
    /// Name of the bucket alone: no s3://, no ARN.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::bucket())]
    pub bucket: String,
    /// Beginning of every key; end it with / to make a folder. {namespace}, {job}, {run}, {index} and {attempt} are replaced. Where a job
    /// has several outputs, each lands in a folder of its name. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::publish_prefix())]
    #[x_kube(validation = rules::publish_placeholders())]
    pub prefix: Option<String>,
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
    /// Secret with the credentials for this store. Default: those that the administrator gave the namespace, for their own endpoint only;
    /// without any, requests are not signed. On the command line: always the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsSecretRef>,
    /// Attempt: each attempt below a folder of its own, PREFIX<run>-<index>-<attempt>-<fence>/, its manifest.json created last and never
    /// replaced. Flat: straight under the prefix, where the last attempt that succeeds replaces what was there; one that fails publishes
    /// nothing. Default: Attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Plain: an object for each file. TarGz: one object, outputs.tar.gz, with all of them. The manifest is beside it either way. Default:
    /// Plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
}

/// Where below the prefix an attempt's objects are.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Layout {
    #[default]
    Attempt,
    Flat,
}

/// What becomes an object.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Encoding {
    #[default]
    Plain,
    TarGz,
}
