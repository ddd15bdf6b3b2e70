//! What comes out: directories the guest writes, and where their files go.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::resources::Quantity;
use crate::rules;

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
    /// Places that get the files when the guest has ended, whatever its exit code. Default: none, the files are kept where the run was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub publish: Vec<Publish>,
}

/// One place that gets an output's files.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    /// A prefix in an S3 bucket.
    pub s3: S3Publish,
}

/// A prefix in an S3 bucket.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Publish {
    /// Name of the bucket alone: no s3://, no ARN.
    #[schemars(length(max = 63))]
    #[x_kube(validation = rules::bucket())]
    pub bucket: String,
    /// Beginning of every key; end it with / to make a folder. {namespace} and {job} are replaced. The files land below
    /// PREFIX<run>-<index>-<attempt>-<fence>/, their manifest last. Default: none.
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
}
