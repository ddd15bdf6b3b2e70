//! The control plane, the operator and one agent, as the benchmarks need them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crds::names::{AGENT_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE};
use crds::node::WasmNode;
use e2e::Cluster;
use e2e::cluster::{Options, Running};
use kube::api::ListParams;
use kube::{Api, Client};

/// Namespace of the jobs, and of those that nobody carries out.
pub(super) const SERVED: &str = "bench";
pub(super) const BARE: &str = "bare";
const NODE: &str = "bench-1";
/// A guard against hangs.
const READY_WITHIN: Duration = Duration::from_mins(2);

pub(super) struct Pool {
    operator: Running,
    agent: Running,
    client: Client,
    cluster: Cluster,
}

impl Pool {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let cluster = Cluster::start(Options { folder: Some(folder.join("cluster")), ..Options::default() }).await?;
        cluster.install().await?;
        for namespace in [SERVED, BARE] {
            cluster.create_namespace(namespace).await?;
        }
        cluster.create_pool(BARE).await?;
        for node in ["control", NODE] {
            cluster.node(node).await?;
        }
        let identity = cluster.identity("operator", SYSTEM_NAMESPACE, OPERATOR_ACCOUNT, "control").await?;
        let mut command = Command::new(super::super::built("wasmjob-operator")?);
        command.env_clear().args(["--serve-namespace", SERVED, "--identity", &identity.pod.uid, "--listen", "127.0.0.1:0"]);
        command.arg("--kubeconfig").arg(&identity.kubeconfig);
        let operator = cluster.run(identity, command)?;
        let identity = cluster.identity(NODE, SYSTEM_NAMESPACE, AGENT_ACCOUNT, NODE).await?;
        let mut command = Command::new(super::super::built("wasmjob-agent")?);
        command.env_clear().args(["--node-name", NODE, "--pod-uid", &identity.pod.uid, "--default-memory", "64Mi", "--memory", "8Gi"]);
        command.arg("--allow-private-addresses").arg("--kubeconfig").arg(&identity.kubeconfig);
        command.arg("--state-directory").arg(folder.join("agent"));
        let agent = cluster.run(identity, command)?;
        let client = cluster.client().await?;
        Ok(Self { operator, agent, client, cluster })
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until no entry and no report is left.
    pub(super) async fn settles(&self) -> anyhow::Result<()> {
        let nodes: Api<WasmNode> = Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE);
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            let listed = nodes.list(&ListParams::default()).await.context("failed to list the nodes")?;
            let empty =
                |node: &WasmNode| node.spec.assignments.is_empty() && node.status.as_ref().is_none_or(|status| status.reports.is_empty());
            if listed.items.iter().all(empty) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("entries or reports stay: {}\n{}", self.operator.said(), self.agent.said())
    }

    pub(super) fn operator_kibibytes(&self) -> anyhow::Result<f64> {
        resident(self.operator.id())
    }

    pub(super) fn agent_kibibytes(&self) -> anyhow::Result<f64> {
        resident(self.agent.id())
    }
}

/// `VmRSS` of a process, in KiB.
fn resident(id: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("the program has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has a resident set")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS is a number")
}
