//! MinIO and kubo beside the cluster, and what users and agents need to reach them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use e2e::{Kubo, Minio, minio};
use serde_json::json;

use super::serve;

/// Where the samples of `manifests/stores/` look for MinIO, which is there unless somebody else is.
const PORT: u16 = 9_000;

/// Where inputs may lie, and where results may go.
const BUCKETS: [&str; 2] = ["data", "results"];

/// Namespaces whose jobs may use MinIO. The file is read again when it changes, so a user may add theirs.
const NAMESPACES: [&str; 1] = ["default"];

pub(crate) struct Stores {
    minio: Minio,
    kubo: Kubo,
    /// The agents' list of who may use MinIO.
    grants: PathBuf,
}

impl Stores {
    /// Starts them. The agents' list of grants will be in that folder.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let minio = Minio::start_at(PORT).await.context("failed to start MinIO")?;
        for bucket in BUCKETS {
            minio.create_bucket(bucket).await?;
        }
        Ok(Self { minio, kubo: Kubo::start().context("failed to start kubo")?, grants: folder.join("s3-credentials.yaml") })
    }

    /// Flags of an agent. Writes the file that they name.
    pub(crate) fn flags(&self) -> anyhow::Result<Vec<String>> {
        let keys = self.minio.keys();
        // JSON is YAML.
        let grants = json!([{
            "name": "minio", "namespaces": NAMESPACES, "endpoint": self.minio.endpoint(), "region": minio::REGION,
            "accessKeyId": keys.access_key, "secretAccessKey": keys.secret_key,
        }]);
        fs::write(&self.grants, format!("{grants:#}\n")).with_context(|| format!("failed to write {}", self.grants.display()))?;
        let file = self.grants.to_str().context("the folder's path is no text")?;
        let flags = ["--s3-credentials", file, "--ipfs-gateway", self.kubo.gateway(), "--ipfs-api", self.kubo.rpc()];
        Ok(flags.map(str::to_owned).to_vec())
    }

    pub(crate) fn told(&self) -> Vec<String> {
        let keys = self.minio.keys();
        vec![
            serve::told("stores", [("minio", self.minio.id()), ("kubo", self.kubo.id())]),
            format!("S3 endpoint: {}", self.minio.endpoint()),
            format!("S3 region: {}", minio::REGION),
            format!("S3 buckets: {}", BUCKETS.join(", ")),
            format!("S3 access key: {}", keys.access_key),
            format!("S3 secret key: {}", keys.secret_key),
            format!(
                "S3 grants: {} (namespaces {}; add yours, agents read it again when it changes)",
                self.grants.display(),
                NAMESPACES.join(", ")
            ),
            format!("IPFS gateway: {}", self.kubo.gateway()),
            format!("IPFS RPC: {}", self.kubo.rpc()),
        ]
    }
}
