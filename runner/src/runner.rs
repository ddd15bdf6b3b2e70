//! The runner of one machine: its store, its compiled modules, its workers. Made once, used for every attempt.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crds::report::Report;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::attempt;
use crate::failure::Failure;
use crate::fetch::{FetchConfig, Fetcher};
use crate::lease::Deadline;
use crate::prepare::CompiledModules;
use crate::store::Store;
use crate::task::Task;
use crate::walls::{self, Raised, Wall};
use crate::workers::Workers;

/// How a runner is set up. Nothing is read from the environment.
#[derive(Debug)]
pub struct Config {
    /// Holds verified bytes, compiled modules and working directories. One per user: it holds code that will be executed.
    pub cache_directory: PathBuf,
    /// Bytes of fetched files that are kept.
    pub store_capacity_bytes: u64,
    pub fetch: FetchConfig,
    pub limits: GuestLimits,
    /// Workers kept ready.
    pub idle_workers: usize,
    /// Until when guests may run here; `None`: as long as the caller lives. Started after the first extension, a runner has its workers
    /// ready; before, they are started when the first guest needs one.
    pub lease: Option<Deadline>,
    /// Walls that this machine may lack: guests then run without them. Where another one is missing every attempt ends with
    /// `SandboxUnavailable`, and nothing is fetched, compiled or run.
    pub may_lack: Vec<Wall>,
}

/// What a guest may use where its job says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestLimits {
    pub memory_bytes: u64,
    pub max_table_elements: u64,
    /// Of one output's files together.
    pub output_bytes: u64,
    /// Files and directories of one output.
    pub output_entries: u64,
    /// Bytes of each of stdout and stderr that are passed on; what is beyond is counted and dropped.
    pub stream_bytes: u64,
    pub timeout: Option<Duration>,
}

/// Runs jobs on this machine.
#[derive(Debug)]
pub struct Runner {
    fetcher: Fetcher,
    compiled: CompiledModules,
    workers: Workers,
    work: PathBuf,
    limits: GuestLimits,
}

/// Why no runner could be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unable to use the cache directory {}", path.display())]
    Cache {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("unable to set up fetching")]
    Fetch(#[source] Failure),
    #[error("unable to start the zygote")]
    Zygote(#[source] std::io::Error),
}

// === impl GuestLimits ===

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            max_table_elements: 1 << 20,
            output_bytes: 1 << 30,
            output_entries: 100_000,
            stream_bytes: 1 << 30,
            timeout: None,
        }
    }
}

/// Removes the working directories that processes left which are no more. A directory's name begins with its process's number.
fn sweep(work: &Path) {
    for entry in std::fs::read_dir(work).into_iter().flatten().flatten() {
        let owner = entry.file_name().to_str().and_then(|name| name.split('-').next()?.parse::<u32>().ok());
        if owner.is_none_or(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            // Another process may be sweeping too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

// === impl Runner ===

impl Runner {
    /// Opens the cache and starts the zygote.
    pub fn start(config: Config) -> Result<Self, Error> {
        // First: the zygote starts while the caches are opened.
        let raised = walls::survey(&config.may_lack);
        let workers = Workers::start(config.idle_workers, config.lease, raised.clone()).map_err(Error::Zygote)?;
        let cache = &config.cache_directory;
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Cache { path: cache.clone(), source };
        let store = Store::open(&cache.join("store"), config.store_capacity_bytes).map_err(|error| unusable(error.into()))?;
        let compiled =
            CompiledModules::open(&cache.join("compiled"), raised.unwrap_or(Raised::ALL)).map_err(|error| unusable(error.into()))?;
        let work = cache.join("work");
        std::fs::create_dir_all(&work).map_err(|error| unusable(error.into()))?;
        sweep(&work);
        let fetcher = Fetcher::new(config.fetch, store).map_err(Error::Fetch)?;
        Ok(Self { fetcher, compiled, workers, work, limits: config.limits })
    }

    /// Whether guests can run here at all.
    ///
    /// # Errors
    /// `SandboxUnavailable`, with which every attempt here ends: a wall is missing that this machine may not lack.
    pub fn sandbox(&self) -> Result<(), Failure> {
        self.workers.walls().map(drop)
    }

    /// Carries out one attempt. Every ending is a report.
    pub fn run(&self, task: Task) -> BoxFuture<'_, Report> {
        // Boxed: the futures of every source and publisher nest too deep for a caller's own to be laid out around them.
        attempt::run(self, task).boxed()
    }

    /// Kills every guest, now, and ends every attempt that is under way with `WorkerKilled`, at whatever stage; one that begins later
    /// is none of them. Each attempt's future returns when its worker is gone; this one does not wait for that.
    pub fn kill_all(&self) {
        self.workers.kill_all();
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    pub(crate) fn compiled(&self) -> &CompiledModules {
        &self.compiled
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    pub(crate) fn work_directory(&self) -> &Path {
        &self.work
    }

    pub(crate) fn limits(&self) -> &GuestLimits {
        &self.limits
    }
}
