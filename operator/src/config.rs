//! Flags and environment → `Config`. Nothing else reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::sessions::Sts;

/// Turns WasmJobs into work for nodes, and what the nodes report into the jobs' status.
#[derive(Clone, Debug, Parser)]
#[command(name = "wasmjob-operator", version)]
pub struct Config {
    /// Namespace of the pool: its WasmNodes and Leases.
    #[arg(long, env = "POD_NAMESPACE", default_value = crds::names::SYSTEM_NAMESPACE)]
    pub namespace: String,
    /// Namespaces whose jobs this operator carries out; may be repeated. Default: all. Two operators must not serve the same one.
    #[arg(long = "serve-namespace", env = "SERVE_NAMESPACES", value_delimiter = ',')]
    pub serve_namespaces: Vec<String>,
    /// Who holds the Lease: the pod's name or UID; must differ between processes. Default: drawn at random.
    #[arg(long, env = "POD_UID")]
    pub identity: Option<String>,
    /// Kubeconfig file. Default: the pod's service account, else KUBECONFIG, else ~/.kube/config.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Seconds that an agent's Lease must be unchanged before its work is given to others. Agents kill theirs before: their --lease-seconds
    /// must be smaller by a kill's time and one per cent.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub node_lost_seconds: u64,
    /// Seconds for which nothing is given away when more than half of the nodes are lost at once.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub brake_seconds: u64,
    /// Seconds that a Node must be gone before its WasmNode, once it has no assignments, and its agent's Lease are deleted.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub node_gone_seconds: u64,
    /// URL of an S3 store that opens sessions (AWS STS, AssumeRole), such as MinIO's; with = and another URL where its STS is elsewhere; may
    /// be repeated. What names credentials for it is then given a session that may do no more than the run has to. Default: none, runs are
    /// given the credentials themselves.
    #[arg(long = "sts-endpoint", value_name = "STORE[=STS]")]
    pub sts: Vec<Sts>,
    /// Role that sessions are opened for, where the store has roles.
    #[arg(long, value_name = "ARN", default_value = "arn:aws:iam::000000000000:role/wasmjob")]
    pub sts_role_arn: String,
    /// Seconds that a session lasts.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(900..=43_200))]
    pub session_seconds: u32,
    /// Seconds before its end at which a session is renewed, while its run is under way.
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u32).range(10..=43_200))]
    pub session_renew_seconds: u32,
    /// What is logged, such as info or operator=debug,info.
    #[arg(long, env = "WASMJOB_LOG", default_value = "info")]
    pub log: String,
}

impl Config {
    pub(crate) fn node_lost(&self) -> Duration {
        Duration::from_secs(self.node_lost_seconds)
    }

    /// Never at once: a session lasts for a sixtieth of its time at least.
    pub(crate) fn renew_before(&self) -> Duration {
        Duration::from_secs(u64::from(self.session_renew_seconds.min(self.session_seconds - self.session_seconds / 60)))
    }

    pub(crate) fn node_gone(&self) -> Duration {
        Duration::from_secs(self.node_gone_seconds)
    }

    pub(crate) fn brake(&self) -> Duration {
        Duration::from_secs(self.brake_seconds)
    }
}
