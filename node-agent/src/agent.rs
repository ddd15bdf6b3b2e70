//! The agent of one node: what lasts as long as the process, and one term after the other.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crds::node::NodeResources;
use crds::resources::Quantity;
use kube::Api;
use runner::Runner;
use runner::fetch::ipfs::IpfsAccess;
use runner::fetch::s3::S3Access;
use runner::fetch::{FetchConfig, FetchLimits};
use runner::lease::Deadline;
use tokio::sync::{Semaphore, mpsc};
use tracing::{info, warn};

use crate::attempt::{Means, REQUESTS_AT_ONCE};
use crate::client::{self, Clients, chain};
use crate::config::Config;
use crate::decide::Attempts;
use crate::drain::Stop;
use crate::journal::Journal;
use crate::kept::KeptOutputs;
use crate::lease::{LeaseOf, Lost};
use crate::metrics::Metrics;
use crate::register::first_read;
use crate::s3_access::{self, S3Credentials};
use crate::seal::SealingKey;
use crate::serve::{Health, serve};
use crate::sweep::sweep;
use crate::term::{Ending, Term};
use crate::watch::watch;

/// What lasts as long as the process.
pub(crate) struct Agent {
    pub(crate) config: Config,
    pub(crate) clients: Clients,
    pub(crate) journal: Journal,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    /// What its runs are given of Secrets is sealed to it.
    pub(crate) key: Arc<SealingKey>,
    kept: KeptOutputs,
    s3: S3Credentials,
    lease: LeaseOf,
    /// Held as long as the process lives: two agents with one journal would each forget what the other did.
    _lock: File,
}

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("unable to use the state directory {path:?}")]
    State {
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("unable to listen on {address}")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("unable to reach the API server")]
    Client(#[source] client::Error),
    #[error("unable to grant S3 access")]
    S3(#[source] s3_access::Error),
    #[error("unable to make a key")]
    Key(#[source] std::io::Error),
    #[error("unable to share a deadline with workers")]
    Deadline(#[source] std::io::Error),
    #[error("unable to start the runner")]
    Runner(#[source] runner::Error),
}

/// Between terms: whatever ended one may end the next at once.
const BETWEEN_TERMS: Duration = Duration::from_millis(200);
/// Between looks whether another agent's process has ended.
const LOCKED: Duration = Duration::from_secs(1);

/// Runs the agent until it is told to stop.
pub(crate) async fn run(config: Config) -> Result<(), Error> {
    let mut stop = Stop::listen().map_err(Error::Signals)?;
    let unusable = |source| Error::State { path: config.state_directory.clone(), source };
    fs::create_dir_all(scratch(&config.state_directory)).map_err(unusable)?;
    let (health, metrics) = (Health::default(), Metrics::default());
    if let Some(address) = config.listen {
        serve(address, health.clone(), metrics.clone()).await.map_err(|source| Error::Listen { address, source })?;
    }
    let lock = tokio::select! {
        lock = locked(&config.state_directory) => lock.map_err(unusable)?,
        () = stop.told() => return Ok(()),
    };
    sweep(&scratch(&config.state_directory));
    // The runner sweeps too, and spares whoever has a living process's number: in a container that is this process.
    sweep(&cache(&config.state_directory).join("work"));
    let clients = Clients::new(config.kubeconfig.as_deref()).await.map_err(Error::Client)?;
    let agent = Agent {
        key: Arc::new(SealingKey::generate().map_err(Error::Key)?),
        journal: Journal::open(&config.state_directory).map_err(unusable)?,
        kept: KeptOutputs::open(&config.state_directory.join("outputs"), config.kept_outputs_bytes).map_err(unusable)?,
        s3: S3Credentials::open(config.s3_credentials.as_deref()).map_err(Error::S3)?,
        lease: LeaseOf {
            api: Api::namespaced(clients.lease.clone(), &config.namespace),
            node: config.node_name.clone(),
            pod_uid: config.pod_uid.clone(),
            timings: config.timings,
            metrics: metrics.clone(),
        },
        clients,
        health,
        metrics,
        _lock: lock,
        config,
    };
    agent.terms(&mut stop).await
}

fn scratch(state: &Path) -> std::path::PathBuf {
    state.join("scratch")
}

fn cache(state: &Path) -> std::path::PathBuf {
    state.join("cache")
}

/// The lock of the state directory, once no other process has it.
async fn locked(state: &Path) -> std::io::Result<File> {
    let file = File::create(state.join("lock"))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if !told => {
                info!(?state, "another agent uses the state directory: waiting until it has ended");
                told = true;
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        tokio::time::sleep(LOCKED).await;
    }
}

// === impl Agent ===

impl Agent {
    async fn terms(&self, stop: &mut Stop) -> Result<(), Error> {
        let mut unseen = Attempts::new();
        loop {
            let ending = self.term(std::mem::take(&mut unseen), stop).await?;
            let why = match ending {
                Ending::Drained => {
                    if let Err(error) = self.lease.release().await {
                        warn!(error = chain(&error), "failed to release the Lease: the next agent waits until it has lapsed");
                    }
                    return Ok(());
                }
                Ending::Lost(Lost::Lapsed) => "the Lease lapsed",
                Ending::Lost(Lost::Taken { by }) => {
                    warn!(by, "another pod took this node's Lease");
                    "the Lease was taken"
                }
                Ending::Replaced => "another agent writes this node's status",
                Ending::Vanished { unseen: endings } => {
                    unseen = endings;
                    "this node's WasmNode is gone"
                }
                Ending::Restored | Ending::Lost(Lost::Restored) => "the API server went back in time: a backup was restored",
            };
            // P12, P14, P15: everything is dropped, as by a new process.
            warn!(why, "beginning anew; what ran is ended");
            self.metrics.began_anew(why);
            tokio::time::sleep(BETWEEN_TERMS).await;
        }
    }

    /// From waiting for the Lease to losing it.
    async fn term(&self, unseen: Attempts, stop: &mut Stop) -> Result<Ending, Error> {
        // P12: first the Lease, then the first read.
        let held = tokio::select! {
            held = self.lease.acquire() => held,
            () = stop.told() => return Ok(Ending::Drained),
        };
        let deadline = Deadline::new().map_err(Error::Deadline)?;
        deadline.extend_to(held.deadline(&self.config.timings));
        let keeper = {
            let (lease, deadline) = (self.lease.clone(), deadline.clone());
            tokio::spawn(async move { lease.keep(held, deadline).await })
        };
        let api = Api::namespaced(self.clients.node.clone(), &self.config.namespace);
        let first = tokio::select! {
            first = first_read(&api, &self.config.node_name, &self.metrics) => first,
            () = stop.told() => {
                keeper.abort();
                return Ok(Ending::Drained);
            }
        };
        let runner = Runner::start(self.runner_config(deadline.clone())).map_err(Error::Runner)?;
        let means = Arc::new(self.means(runner));
        let (listener, observed) = mpsc::channel(16);
        let watching = Api::namespaced(self.clients.watch.clone(), &self.config.namespace);
        let watching = tokio::spawn(watch(watching, self.config.node_name.clone(), listener));
        info!(node = self.config.node_name, "registered");
        let ending = Term::new(self, means, deadline, first, unseen).run(keeper, observed, stop).await;
        watching.abort();
        Ok(ending)
    }

    fn means(&self, runner: Runner) -> Means {
        Means {
            client: self.clients.reads.clone(),
            runner: Arc::new(runner),
            journal: self.journal.clone(),
            s3: self.s3.clone(),
            kept: self.kept.clone(),
            scratch: scratch(&self.config.state_directory),
            metrics: self.metrics.clone(),
            requests: Semaphore::new(REQUESTS_AT_ONCE),
            digests_required: self.config.digests_required.clone(),
            default_memory_bytes: self.config.default_memory_bytes,
            memory_bytes: self.config.memory_bytes,
        }
    }

    fn runner_config(&self, deadline: Deadline) -> runner::Config {
        let config = &self.config;
        let fetch = FetchConfig {
            limits: FetchLimits::default(),
            addresses: config.addresses.clone(),
            // Each task brings its own: no namespace falls back on somebody else's.
            s3: S3Access::default(),
            ipfs: IpfsAccess { gateways: config.ipfs_gateways.clone(), rpc: config.ipfs_apis.clone() },
        };
        runner::Config {
            cache_directory: cache(&config.state_directory),
            store_capacity_bytes: config.store_capacity_bytes,
            fetch,
            limits: runner::GuestLimits {
                memory_bytes: config.default_memory_bytes,
                timeout: config.default_timeout,
                ..runner::GuestLimits::default()
            },
            idle_workers: usize::from(config.slots).min(IDLE_WORKERS),
            lease: Some(deadline),
            may_lack: config.may_lack.clone(),
        }
    }

    /// Room for guests.
    pub(crate) fn allocatable(&self) -> NodeResources {
        NodeResources {
            cpu: Quantity(format!("{}m", self.config.millicores)),
            memory: Quantity::of_bytes(self.config.memory_bytes),
            slots: i32::from(self.config.slots),
        }
    }
}

/// Workers kept ready: as many as start within the time in which one is born.
const IDLE_WORKERS: usize = 8;
