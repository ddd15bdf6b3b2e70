//! The state folder, in the cache: a lock that the background program holds as long as it lives, its process id, its log, and, once
//! all runs, what runs. The lock alone says whether it runs: ids and files of one that was killed mean nothing.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::addresses;

/// Paths in the state folder.
pub(crate) struct State {
    folder: PathBuf,
}

/// What runs, as the background program wrote it when it was ready.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The administrator's kubeconfig.
    pub(crate) kubeconfig: PathBuf,
    /// What there is to know, line by line: process ids, addresses, logs.
    pub(crate) lines: Vec<String>,
}

impl State {
    /// The folder is made if need be.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::at(e2e::cache()?.join("cluster"))
    }

    pub(crate) fn at(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Where the cluster itself is.
    pub(crate) fn run(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// What the background program says.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The network of pods, as long as there is one.
    pub(crate) fn network(&self) -> PathBuf {
        self.folder.join("network")
    }

    fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    fn id(&self) -> PathBuf {
        self.folder.join("pid")
    }

    fn ready_file(&self) -> PathBuf {
        self.folder.join("ready.json")
    }

    /// One `up` or `down` at a time: the others wait.
    pub(crate) fn turn(&self) -> anyhow::Result<File> {
        let turn = open(&self.folder.join("turn"))?;
        turn.lock().context("failed to wait for another `cargo xtask cluster`")?;
        Ok(turn)
    }

    /// The background program's own lock, if none runs.
    pub(crate) fn hold(&self) -> anyhow::Result<Option<File>> {
        let lock = open(&self.lock())?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("failed to lock {}", self.lock().display())),
        }
    }

    /// Whether the background program lives.
    pub(crate) fn lives(&self) -> anyhow::Result<bool> {
        Ok(self.hold()?.is_none())
    }

    /// Forgets what an earlier one left, and takes its network away. Only for whom nobody else runs beside.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        addresses::give_back(&self.network())?;
        for file in [self.id(), self.ready_file()] {
            absent(fs::remove_file(&file)).with_context(|| format!("failed to remove {}", file.display()))?;
        }
        let run = self.run();
        absent(fs::remove_dir_all(&run)).with_context(|| format!("failed to remove {}", run.display()))
    }

    /// Writes down the process id that `down` will send its signal to.
    pub(crate) fn write_id(&self) -> anyhow::Result<()> {
        fs::write(self.id(), std::process::id().to_string()).context("failed to write the process id")
    }

    /// The process id that stands written. It is worth something only while the lock is held.
    pub(crate) fn read_id(&self) -> anyhow::Result<i32> {
        let text = fs::read_to_string(self.id()).with_context(|| format!("failed to read {}", self.id().display()))?;
        text.trim().parse().with_context(|| format!("{} holds no process id", self.id().display()))
    }

    /// Says that all runs. A reader sees all of it or nothing.
    pub(crate) fn write_ready(&self, ready: &Ready) -> anyhow::Result<()> {
        let unfinished = self.folder.join("ready.unfinished");
        let text = serde_json::to_string(ready).context("failed to write what runs")?;
        fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, self.ready_file())).context("failed to write what runs")
    }

    /// What runs; `None` while it starts.
    pub(crate) fn ready(&self) -> anyhow::Result<Option<Ready>> {
        let file = self.ready_file();
        match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("failed to understand {}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => bail!("failed to read {}: {error}", file.display()),
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path).with_context(|| format!("failed to open {}", path.display()))
}

/// What was not there need not be removed.
fn absent(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests;
