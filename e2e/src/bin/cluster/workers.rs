//! The operator and the agents on the cluster, each with a token of its own pod and where that is said to be. They are the programs as users
//! have them; what they log is in the cluster's folder. One that ends is started again, as a kubelet would: the operator counts on it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crds::names::{AGENT_ACCOUNT, OPERATOR_ACCOUNT, OPERATOR_LEASE, SYSTEM_NAMESPACE};
use crds::node::WasmNode;
use e2e::Cluster;
use e2e::cluster::{Identity, Running};
use futures_util::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

use super::addresses::Addresses;
use super::probe::Probe;
use super::serve;
use super::stores::Stores;

/// A guard against hangs, not a measure: machines are slow at times.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// Agents let guests end.
const GONE_WITHIN: Duration = Duration::from_mins(1);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A program that ends that often before it was ever ready never will be.
const MOST_STARTS: u32 = 5;

/// The longest wait before a program that keeps ending is started again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(crate) struct Workers(Vec<Worker>);

/// One program, as often as it is started.
struct Worker {
    identity: Identity,
    program: PathBuf,
    arguments: Vec<OsString>,
    running: Running,
    probe: Probe,
    starts: u32,
    /// When it was first seen that it has ended.
    ended: Option<Instant>,
}

impl Workers {
    /// Starts the operator and agents on node-1, node-2, …, and waits until they have said that they are there.
    pub(crate) async fn start(cluster: &Cluster, agents: u8, stores: Option<&Stores>, addresses: &Addresses) -> anyhow::Result<Self> {
        let mut places = addresses.places(agents + 1)?.into_iter();
        let mut next = || places.next().context("there are as many places as programs");
        let place = next()?;
        let identity = identify(cluster, "wasmjob-operator", OPERATOR_ACCOUNT, "node-0", place).await?;
        let arguments = operator(&identity, place);
        let mut workers = Self(vec![Worker::start(cluster, identity, "wasmjob-operator", arguments, place)?]);
        let of_stores = stores.map(Stores::flags).transpose()?.unwrap_or_default();
        for number in 1..=agents {
            let (node, place) = (format!("node-{number}"), next()?);
            let identity = identify(cluster, &node, AGENT_ACCOUNT, &node, place).await?;
            let mut arguments = agent(&identity, cluster, place);
            arguments.extend(of_stores.iter().map(OsString::from));
            workers.0.push(Worker::start(cluster, identity, "wasmjob-agent", arguments, place)?);
        }
        workers.are_up(cluster).await?;
        Ok(workers)
    }

    async fn are_up(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let client = cluster.client().await?;
        let begun = Instant::now();
        for at in 0..self.0.len() {
            while !(self.0[at].probe.is_ready() && is_up(&self.0[at].identity, &client).await?) {
                self.keep_running(cluster).await;
                let worker = &self.0[at];
                if worker.starts > MOST_STARTS || begun.elapsed() > READY_WITHIN {
                    bail!("{} does not get ready: {}", worker.identity.name, worker.running.said());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Their process ids.
    pub(crate) fn told(&self) -> String {
        serve::told("ours", self.0.iter().map(|worker| (&worker.identity.name, worker.running.id())))
    }

    /// Writes new tokens. One that fails is told, and tried again the next time, long before the old one ends.
    pub(crate) async fn renew(&self, cluster: &Cluster) {
        for worker in &self.0 {
            tell(cluster.renew(&worker.identity).await);
        }
    }

    /// Starts again what has ended, the longer after the oftener it did, and says of each whether it is ready.
    pub(crate) async fn keep_running(&mut self, cluster: &Cluster) {
        let each = self.0.iter_mut().map(async |worker| {
            tell(worker.keep_running(cluster));
            tell(worker.probe.look(cluster, &worker.identity.pod, worker.starts - 1).await);
        });
        join_all(each).await;
    }

    /// Asks all to end, and waits.
    pub(crate) fn stop(self) {
        let mut workers = self.0;
        // Agents first: the operator folds what they say last.
        let operator = workers.remove(0);
        for agent in &mut workers {
            tell(agent.running.ask_to_end());
        }
        for agent in workers {
            tell(agent.running.stop(GONE_WITHIN));
        }
        tell(operator.running.stop(GONE_WITHIN));
    }
}

impl Worker {
    fn start(cluster: &Cluster, identity: Identity, program: &str, arguments: Vec<OsString>, place: SocketAddr) -> anyhow::Result<Self> {
        let program = e2e::built(program)?;
        let running = cluster.run(identity.clone(), command(&program, &arguments))?;
        Ok(Self { identity, program, arguments, running, probe: Probe::new(place), starts: 1, ended: None })
    }

    fn keep_running(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let Err(how) = self.running.still_running() else { return Ok(()) };
        let ended = *self.ended.get_or_insert_with(Instant::now);
        if ended.elapsed() < LONGEST_WAIT.min(Duration::from_secs(u64::from(self.starts - 1))) {
            return Ok(());
        }
        // What it said stands in its own log.
        let how = how.to_string();
        eprintln!("{}; it is started again", how.lines().next().unwrap_or_default());
        self.running = cluster.run(self.identity.clone(), command(&self.program, &self.arguments))?;
        self.starts += 1;
        self.ended = None;
        Ok(())
    }
}

/// What fails here stops nothing else.
fn tell(done: anyhow::Result<()>) {
    if let Err(error) = done {
        eprintln!("{error:#}");
    }
}

fn command(program: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("NO_COLOR", "1").args(arguments);
    command
}

/// Who a program is that stands for a pod of that account on that node, and will listen there.
async fn identify(cluster: &Cluster, name: &str, account: &str, node: &str, place: SocketAddr) -> anyhow::Result<Identity> {
    cluster.node(node).await?;
    let pod = cluster.pod_serving(SYSTEM_NAMESPACE, account, node, place.port()).await?;
    cluster.identity_of(name, account, pod).await
}

fn operator(identity: &Identity, place: SocketAddr) -> Vec<OsString> {
    let place = place.to_string();
    let words = ["--namespace", &identity.namespace, "--identity", &identity.pod.uid, "--listen", &place, "--kubeconfig"];
    words.into_iter().map(OsString::from).chain([identity.kubeconfig.clone().into_os_string()]).collect()
}

/// Jobs may reach loopback here: that is where everything is.
fn agent(identity: &Identity, cluster: &Cluster, place: SocketAddr) -> Vec<OsString> {
    let (node, place) = (&identity.pod.node, place.to_string());
    let words = ["--namespace", &identity.namespace, "--node-name", node, "--pod-uid", &identity.pod.uid, "--listen", &place];
    let words = words.into_iter().chain(["--allow-private-addresses"]);
    let state = cluster.folder().join(format!("{node}.state"));
    let files = ["--kubeconfig".into(), identity.kubeconfig.clone().into_os_string(), "--state-directory".into(), state.into_os_string()];
    words.map(OsString::from).chain(files).collect()
}

/// The operator leads, an agent takes work.
async fn is_up(identity: &Identity, client: &Client) -> anyhow::Result<bool> {
    if identity.service_account == OPERATOR_ACCOUNT {
        let leases: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
        let lease = leases.get_opt(OPERATOR_LEASE).await.context("failed to ask for the operator's Lease")?;
        return Ok(lease.and_then(|lease| lease.spec?.holder_identity).is_some_and(|holder| holder == identity.pod.uid));
    }
    let nodes: Api<WasmNode> = Api::namespaced(client.clone(), &identity.namespace);
    let node = nodes.get_opt(&identity.pod.node).await.context("failed to ask for a WasmNode")?;
    let status = node.and_then(|node| node.status);
    let conditions = status.iter().flat_map(|status| &status.conditions);
    Ok(conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}
