//! A real Kubernetes control plane for tests: etcd on a socket, kube-apiserver with TLS on a loopback port and, where a test needs
//! them, kube-controller-manager and kube-scheduler; each stopped by its own process id when dropped. There are no nodes that run
//! pods: Node and Pod objects exist so that tokens can be bound to them. What of ours runs on it, and with
//! which flags, its caller says.

mod certificates;
mod ground;
mod identity;
mod kubeconfig;
mod kubectl;
mod objects;
mod outage;
mod pods;
mod programs;
mod relay;
mod requests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::sync::OnceCell;

use self::ground::Ground;
use crate::process::Process;

pub use identity::{Identity, Running};
pub use kubectl::Answered;
pub use outage::Snapshot;
pub use pods::{BoundPod, Observed, PORT_NAME};
pub use relay::{Asked, Fate, Held, Relay};
pub use requests::{Kind, Requests};

/// Free ports are found by trying, and another program may take one in between.
const STARTS: usize = 5;

/// How long any part may take to become ready. A guard against hangs, not a measure: machines are slow at times.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// How often to look whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One request of the harness itself. Without this bound a partition would look like patience.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What a cluster has beside etcd and the API server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether kube-controller-manager runs: namespaces are emptied, owned objects collected, service accounts made.
    pub controller_manager: bool,
    /// Whether kube-scheduler runs.
    pub scheduler: bool,
    /// Whether etcd waits for the disk, as it must wherever time is measured or data must survive the machine.
    pub fsync: bool,
    /// Where everything is kept, and stays; a temporary folder if `None`.
    pub folder: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { controller_manager: false, scheduler: false, fsync: true, folder: None }
    }
}

/// A running control plane.
pub struct Cluster {
    options: Options,
    // Dropped in this order: who asks goes before who answers, the folder last.
    scheduler: Option<Process>,
    controller_manager: Option<Process>,
    api_server: Option<Process>,
    etcd: Option<Process>,
    ground: Ground,
}

impl Cluster {
    /// Starts a cluster of its own and waits until the API server is ready.
    ///
    /// # Errors
    /// When a program is missing (`cargo xtask components` builds them) or ends while it starts; with what it said.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..STARTS {
            match Self::start_once(&options).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) if programs::port_was_taken(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.context("it was tried at least once")?)
    }

    /// The one cluster that all tests of this program share, with the CRDs, the rights and a controller manager. Tests keep to
    /// namespaces of their own and stop nothing in it.
    ///
    /// # Errors
    /// As [`Cluster::start`]; the next caller tries again.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        let start = async || {
            let cluster = Self::start(Options { controller_manager: true, fsync: false, ..Options::default() }).await?;
            cluster.install().await?;
            Ok(cluster)
        };
        SHARED.get_or_try_init(start).await
    }

    async fn start_once(options: &Options) -> anyhow::Result<Self> {
        let ground = Ground::new(options.folder.as_deref())?;
        let options = options.clone();
        let mut cluster = Self { options, scheduler: None, controller_manager: None, api_server: None, etcd: None, ground };
        // Both at once: the API server asks for etcd until it is there.
        cluster.etcd = Some(programs::etcd(&cluster.ground, cluster.options.fsync)?);
        cluster.api_server = Some(programs::api_server(&cluster.ground)?);
        cluster.api_server_is_ready().await?;
        cluster.start_controllers().await?;
        Ok(cluster)
    }

    async fn start_controllers(&mut self) -> anyhow::Result<()> {
        if self.options.scheduler {
            self.scheduler = Some(programs::scheduler(&self.ground)?);
        }
        if self.options.controller_manager {
            self.controller_manager = Some(programs::controller_manager(&self.ground)?);
            self.controllers_are_ready().await?;
        }
        Ok(())
    }

    async fn api_server_is_ready(&mut self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let ready = async || get(&client, "/readyz").await.is_ok();
        let running = [self.etcd.as_mut(), self.api_server.as_mut()];
        wait_until(running.into_iter().flatten().collect(), "the API server", ready).await
    }

    /// The first thing that is seen of controllers is a service account in every namespace.
    async fn controllers_are_ready(&mut self) -> anyhow::Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        let ready = async || bounded(accounts.get("default")).await.is_ok();
        wait_until(self.controller_manager.as_mut().into_iter().collect(), "the controller manager", ready).await
    }

    /// `https://127.0.0.1:PORT`.
    pub fn server(&self) -> String {
        self.ground.server()
    }

    /// The administrator's kubeconfig, complete in itself.
    pub fn kubeconfig(&self) -> PathBuf {
        self.ground.kubeconfig("admin")
    }

    /// Writes the administrator's kubeconfig to another place, too.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn copy_kubeconfig(&self, to: &Path) -> anyhow::Result<()> {
        let content = std::fs::read_to_string(self.kubeconfig()).context("failed to read the kubeconfig")?;
        kubeconfig::write_secret(to, &content)
    }

    /// Where the logs of the programs are: `etcd.log`, `kube-apiserver.log`, …
    pub fn folder(&self) -> &Path {
        self.ground.folder()
    }

    /// Process ids of what runs, by name.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let all = [&self.etcd, &self.api_server, &self.controller_manager, &self.scheduler];
        all.into_iter().flatten().map(|process| (process.name().to_owned(), process.id())).collect()
    }

    /// A client that may do everything. It belongs to the runtime that it is made in, so each test makes its own. Unlike kube's
    /// own default it does not try again behind the caller's back.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client_of(self.config_of(&self.kubeconfig()).await?)
    }

    /// A client with that bearer token and nothing else.
    ///
    /// # Errors
    /// When its configuration cannot be read.
    pub async fn client_for(&self, token: &str) -> anyhow::Result<Client> {
        client_of(self.config_of(&self.kubeconfig_for(token)?).await?)
    }

    /// What a client is made from, for those who change it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn config_of(&self, kubeconfig: &Path) -> anyhow::Result<Config> {
        let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("failed to read {}", kubeconfig.display()))?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let mut config = config.with_context(|| format!("failed to understand {}", kubeconfig.display()))?;
        config.default_retry = false;
        Ok(config)
    }
}

fn client_of(config: Config) -> anyhow::Result<Client> {
    Client::try_from(config).context("failed to make a client")
}

/// The body of a GET to a path that no type stands for.
async fn get(client: &Client, path: &str) -> anyhow::Result<String> {
    let request = http::Request::get(path).body(Vec::new()).context("failed to make a request")?;
    bounded(client.request_text(request)).await.with_context(|| format!("failed to get {path}"))
}

/// A request's answer, or an error if there is none in time.
async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(ANSWER_WITHIN, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => bail!("no answer within {ANSWER_WITHIN:?}"),
    }
}

/// Looks again and again, and fails if one of the programs ends or the time is over.
async fn wait_until(mut running: Vec<&mut Process>, what: &str, mut ready: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        for process in &mut running {
            process.still_running()?;
        }
        if ready().await {
            return Ok(());
        }
        if started.elapsed() > READY_WITHIN {
            bail!("{what} is not ready after {READY_WITHIN:?}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A file of the checkout.
pub(crate) fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace").join(path)
}
