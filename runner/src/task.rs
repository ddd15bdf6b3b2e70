//! What a caller hands to the runner: one attempt of one job, with the places its streams and files go to.
//!
//! Decides nothing; `attempt` carries it out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crds::job::WhatToRun;
use secrecy::{SecretSlice, SecretString};

use crate::fetch::Progress;
use crate::fetch::s3::S3Access;

/// One attempt.
#[derive(Debug)]
pub struct Task {
    pub identity: Identity,
    pub what: WhatToRun,
    /// Files and directories of this machine that stand in for sources: only the command line has them.
    pub local: LocalSources,
    /// How S3 is reached for this task, by its fetches and by what it publishes; `None`: as the runner is configured. An access without
    /// credentials reaches public objects only.
    pub s3: Option<S3Access>,
    /// What its spec names of Secrets: only an agent has them.
    pub given: Given,
    /// Stands in for `what.stdin` when set.
    pub stdin: Option<File>,
    /// Where the guest's stdout and stderr go as they come, besides their tails in the report.
    pub stdout: Sink,
    pub stderr: Sink,
    /// Directory that gets one subdirectory for each output that holds files, named after it; the only one's files directly where
    /// `flatten_single_output` is set. Of this attempt alone: created when needed, and gone again where nothing is left in it.
    pub output_directory: PathBuf,
    pub flatten_single_output: bool,
    pub observer: Arc<Observer>,
}

/// Which run of which job this is. Names of the guest's variables and of published prefixes come from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub namespace: String,
    pub name: String,
    pub run: i64,
    pub index: i64,
    pub attempt: i64,
    /// 128 random bits in hex.
    pub fence: String,
}

/// Sources on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSources {
    /// The module's file; `what.module` then names no source.
    pub module: Option<PathBuf>,
    /// By input name: a file or directory; that input then names no source.
    pub inputs: BTreeMap<String, PathBuf>,
}

/// What a task is given of Secrets, in place of what its spec names. Not printed, and wiped when dropped.
#[derive(Debug, Default)]
pub struct Given {
    /// Variables, none of which `what.env` has too.
    pub env: Vec<(String, SecretString)>,
    /// By input name: files of that input by their names. They are on the disk, for this guest alone, as long as the attempt lasts.
    pub inputs: BTreeMap<String, BTreeMap<String, SecretSlice<u8>>>,
}

/// Where a stream of the guest goes.
#[derive(Debug)]
pub enum Sink {
    /// Only its tail is kept: a stream that nothing is written to costs nothing.
    Tail,
    /// Written to this file (or terminal, or pipe) as it comes.
    File(File),
}

/// Where an attempt stands, for whoever shows it, and the switch that cancels it. Anybody may hold it, at any time.
#[derive(Debug, Default)]
pub struct Observer {
    pub progress: Progress,
    stage: AtomicU8,
    cancel: tokio::sync::Notify,
    is_cancelled: AtomicBool,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Waiting,
    Fetching,
    Preparing,
    Running,
    Publishing,
    Ended,
}

/// A file of these bytes, read from its beginning, that is on no disk: for stdin.
///
/// # Errors
/// There is no memory for it.
pub fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("stdin", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

// === impl Observer ===

impl Observer {
    const STAGES: [Stage; 6] = [Stage::Waiting, Stage::Fetching, Stage::Preparing, Stage::Running, Stage::Publishing, Stage::Ended];

    pub fn stage(&self) -> Stage {
        Self::STAGES[usize::from(self.stage.load(Ordering::Relaxed))]
    }

    /// Ends the attempt, wherever it stands, with reason `Cancelled`; its worker is killed.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        self.cancel.notify_waiters();
    }

    /// Returns when `cancel` was called.
    pub(crate) async fn cancelled(&self) {
        let notified = self.cancel.notified();
        tokio::pin!(notified);
        // Registered before the look at the flag, so that no call in between is missed.
        notified.as_mut().enable();
        if !self.is_cancelled.load(Ordering::SeqCst) {
            notified.await;
        }
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }
}
