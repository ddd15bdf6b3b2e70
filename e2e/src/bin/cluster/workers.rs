//! The operator and the agents on the cluster, each with a token of its own pod. They are the programs as users have them; what they
//! log is in the cluster's folder. One that ends is started again, as a kubelet would: the operator counts on it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crds::names::{AGENT_ACCOUNT, OPERATOR_ACCOUNT, OPERATOR_LEASE, SYSTEM_NAMESPACE};
use crds::node::WasmNode;
use e2e::Cluster;
use e2e::cluster::{Identity, Running};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};

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
    starts: u32,
    /// When it was first seen that it has ended.
    ended: Option<Instant>,
}

impl Workers {
    /// Starts the operator and agents on node-1, node-2, …, and waits until they have said that they are there.
    pub(crate) async fn start(cluster: &Cluster, agents: u16, stores: Option<&Stores>) -> anyhow::Result<Self> {
        cluster.node("node-0").await?;
        let identity = cluster.identity("wasmjob-operator", SYSTEM_NAMESPACE, OPERATOR_ACCOUNT, "node-0").await?;
        let arguments = operator(&identity);
        let mut workers = Self(vec![Worker::start(cluster, identity, "wasmjob-operator", arguments)?]);
        let of_stores = stores.map(|stores| stores.flags(cluster.folder())).transpose()?.unwrap_or_default();
        for number in 1..=agents {
            let node = format!("node-{number}");
            cluster.node(&node).await?;
            let identity = cluster.identity(&node, SYSTEM_NAMESPACE, AGENT_ACCOUNT, &node).await?;
            let mut arguments = agent(&identity, cluster);
            arguments.extend(of_stores.iter().map(OsString::from));
            workers.0.push(Worker::start(cluster, identity, "wasmjob-agent", arguments)?);
        }
        workers.are_up(cluster).await?;
        Ok(workers)
    }

    async fn are_up(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let client = cluster.client().await?;
        let begun = Instant::now();
        for at in 0..self.0.len() {
            while !is_up(&self.0[at].identity, &client).await? {
                self.keep_running(cluster);
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

    /// Starts again what has ended, the longer after the oftener it did.
    pub(crate) fn keep_running(&mut self, cluster: &Cluster) {
        for worker in &mut self.0 {
            tell(worker.keep_running(cluster));
        }
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
    fn start(cluster: &Cluster, identity: Identity, program: &str, arguments: Vec<OsString>) -> anyhow::Result<Self> {
        let program = e2e::built(program)?;
        let running = cluster.run(identity.clone(), command(&program, &arguments))?;
        Ok(Self { identity, program, arguments, running, starts: 1, ended: None })
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

fn operator(identity: &Identity) -> Vec<OsString> {
    let words = ["--namespace", &identity.namespace, "--identity", &identity.pod.uid, "--listen", "127.0.0.1:0", "--kubeconfig"];
    words.into_iter().map(OsString::from).chain([identity.kubeconfig.clone().into_os_string()]).collect()
}

/// Jobs may reach loopback here: that is where everything is.
fn agent(identity: &Identity, cluster: &Cluster) -> Vec<OsString> {
    let node = &identity.pod.node;
    let words = ["--namespace", &identity.namespace, "--node-name", node, "--pod-uid", &identity.pod.uid, "--allow-private-addresses"];
    let state = cluster.folder().join(format!("{node}.state"));
    let files = ["--kubeconfig".into(), identity.kubeconfig.clone().into_os_string(), "--state-directory".into(), state.into_os_string()];
    words.into_iter().map(OsString::from).chain(files).collect()
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
