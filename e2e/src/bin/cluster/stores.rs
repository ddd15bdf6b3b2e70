//! MinIO and kubo beside the cluster, and what users and agents need to reach them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use e2e::{Kubo, Minio, minio};
use serde_json::json;

use super::serve;

/// Where results may go.
const BUCKET: &str = "results";

/// Namespaces whose jobs may use MinIO. The file is read again when it changes, so a user may add theirs.
const NAMESPACES: [&str; 1] = ["default"];

pub(crate) struct Stores {
    minio: Minio,
    kubo: Kubo,
}

impl Stores {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let minio = Minio::start().await.context("failed to start MinIO")?;
        minio.create_bucket(BUCKET).await?;
        Ok(Self { minio, kubo: Kubo::start().context("failed to start kubo")? })
    }

    /// Flags of an agent, with the credentials in a file in that folder.
    pub(crate) fn flags(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let keys = self.minio.keys();
        // JSON is YAML.
        let grants = json!([{
            "name": "minio", "namespaces": NAMESPACES, "endpoint": self.minio.endpoint(), "region": minio::REGION,
            "accessKeyId": keys.access_key, "secretAccessKey": keys.secret_key,
        }]);
        let file = folder.join("s3-credentials.yaml");
        fs::write(&file, format!("{grants:#}\n")).with_context(|| format!("failed to write {}", file.display()))?;
        let file = file.to_str().context("the folder's path is no text")?;
        let flags = ["--s3-credentials", file, "--ipfs-gateway", self.kubo.gateway(), "--ipfs-api", self.kubo.rpc()];
        Ok(flags.map(str::to_owned).to_vec())
    }

    pub(crate) fn told(&self) -> Vec<String> {
        let keys = self.minio.keys();
        vec![
            serve::told("stores", [("minio", self.minio.id()), ("kubo", self.kubo.id())]),
            format!("S3: {}, bucket {BUCKET}, access key {}, secret key {}", self.minio.endpoint(), keys.access_key, keys.secret_key),
            format!("IPFS: gateway {}, RPC {}", self.kubo.gateway(), self.kubo.rpc()),
        ]
    }
}
