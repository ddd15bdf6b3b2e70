//! What befalls a control plane: its API server is away for a while, its data is put back to what it was. Not for the shared
//! cluster, which others use.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::{Cluster, LOOK_EVERY, READY_WITHIN, programs};

/// How long etcd may take to end in good order.
const ETCD_ENDS_WITHIN: Duration = Duration::from_secs(30);

/// All that etcd knew at a moment.
pub struct Snapshot {
    folder: TempDir,
}

impl Cluster {
    /// Kills the API server; etcd and the controllers stay. Open connections break at once.
    pub fn stop_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server again at the address that it had, and waits until it is ready.
    ///
    /// # Errors
    /// When its port is not free in time, or it ends while it starts.
    pub async fn start_api_server(&mut self) -> anyhow::Result<()> {
        if self.api_server.is_some() {
            return Ok(());
        }
        self.port_is_free().await?;
        self.api_server = Some(programs::api_server(&self.ground)?);
        self.api_server_is_ready().await
    }

    async fn port_is_free(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while let Err(error) = TcpListener::bind(self.ground.address()) {
            if started.elapsed() > READY_WITHIN {
                return Err(error).with_context(|| format!("{} is not free after {READY_WITHIN:?}", self.ground.address()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Copies what etcd knows. The cluster is down meanwhile and runs again afterwards.
    ///
    /// # Errors
    /// When the copy fails or the cluster does not come back.
    pub async fn snapshot(&mut self) -> anyhow::Result<Snapshot> {
        let folder = tempfile::tempdir().context("failed to create a folder")?;
        self.stop_all()?;
        copy_tree(&self.ground.path("etcd"), &folder.path().join("etcd"))?;
        self.start_all().await?;
        Ok(Snapshot { folder })
    }

    /// Puts back what etcd knew then: resource versions go back too.
    ///
    /// # Errors
    /// When the copy fails or the cluster does not come back.
    pub async fn restore(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        self.stop_all()?;
        let data = self.ground.path("etcd");
        fs::remove_dir_all(&data).with_context(|| format!("failed to remove {}", data.display()))?;
        copy_tree(&snapshot.folder.path().join("etcd"), &data)?;
        self.start_all().await
    }

    fn stop_all(&mut self) -> anyhow::Result<()> {
        self.scheduler = None;
        self.controller_manager = None;
        self.api_server = None;
        match self.etcd.take() {
            Some(etcd) => etcd.stop(ETCD_ENDS_WITHIN),
            None => bail!("etcd does not run"),
        }
    }

    async fn start_all(&mut self) -> anyhow::Result<()> {
        self.etcd = Some(programs::etcd(&self.ground, self.options.fsync)?);
        self.start_api_server().await?;
        self.start_controllers().await
    }
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to).with_context(|| format!("failed to create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to list {}", from.display()))? {
        let entry = entry.with_context(|| format!("failed to list {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().context("failed to look at a file")?.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("failed to copy {}", source.display()))?;
        }
    }
    Ok(())
}
