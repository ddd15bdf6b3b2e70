//! What this agent is told by flags and its environment, checked. The only file that reads them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use crds::names;
use crds::resources::Quantity;
use ipnet::IpNet;
use runner::fetch::address::AddressPolicy;
use runner::walls::Wall;
use url::Url;

use crate::lease::Timings;

/// The agent of one node: runs what its `WasmNode` says and reports there.
#[derive(Debug, Parser)]
#[command(name = "wasmjob-agent", version)]
struct Flags {
    /// Name of the node, and of its `WasmNode` and Lease.
    #[arg(long, env = "NODE_NAME")]
    node_name: String,
    /// Namespace of the pool that this agent belongs to.
    #[arg(long, env = "POD_NAMESPACE", default_value = names::SYSTEM_NAMESPACE)]
    namespace: String,
    /// UID of this agent's pod: who holds the node's Lease.
    #[arg(long, env = "POD_UID")]
    pod_uid: String,
    /// How the API server is reached; without it, as a pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Holds the journal, fetched files, compiled modules and kept outputs. Nobody else's.
    #[arg(long, env = "WASMJOB_STATE_DIRECTORY", value_name = "DIRECTORY", default_value = "/var/lib/wasmjob")]
    state_directory: PathBuf,
    /// Attempts at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=i64::try_from(crds::node::MOST_ENTRIES).unwrap_or(i64::MAX)))]
    slots: u16,
    /// Bytes of memory for all guests together, such as 8Gi. Default: three quarters of what this machine or container has.
    #[arg(long, value_name = "QUANTITY")]
    memory: Option<String>,
    /// CPUs for guests, such as 4 or 3500m. Default: all.
    #[arg(long, value_name = "QUANTITY")]
    cpu: Option<String>,
    /// Memory of a guest whose job sets no limit.
    #[arg(long, value_name = "QUANTITY", default_value = "2Gi")]
    default_memory: String,
    /// Seconds that a guest may run where its job says nothing. Default: as long as it likes.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    default_timeout_seconds: Option<u64>,
    /// YAML list of S3 credentials and the namespaces that may use each. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    s3_credentials: Option<PathBuf>,
    /// Trustless IPFS gateway; may be repeated. Nothing that it says is believed.
    #[arg(long = "ipfs-gateway", value_name = "URL")]
    ipfs_gateways: Vec<Url>,
    /// kubo's RPC; may be repeated.
    #[arg(long = "ipfs-api", value_name = "URL")]
    ipfs_apis: Vec<Url>,
    /// Let jobs fetch from and publish to private and loopback addresses: for tests and laboratories.
    #[arg(long)]
    allow_private_addresses: bool,
    /// Network that jobs may reach although it is not public, such as 10.20.0.0/16: an object store on the premises. May be repeated.
    #[arg(long = "allow-network", value_name = "CIDR")]
    allowed_networks: Vec<IpNet>,
    /// Name that jobs may use although it is internal, such as minio.storage.svc.cluster.local; its addresses have to be allowed too. May be repeated.
    #[arg(long = "allow-host", value_name = "NAME")]
    allowed_hosts: Vec<String>,
    /// Port that jobs may reach besides 80, 443 and 8443. May be repeated.
    #[arg(long = "allow-port", value_name = "PORT")]
    allowed_ports: Vec<u16>,
    /// Namespace whose jobs must say the digest of whatever may change at its source: http, s3, tags of OCI images. May be repeated; * is
    /// every namespace.
    #[arg(long = "require-digests", value_name = "NAMESPACE")]
    digests_required: Vec<String>,
    /// Wall that this node's kernel may lack, landlock or seccomp; may be repeated. Where another one is missing nothing runs
    /// (SandboxUnavailable).
    #[arg(long = "may-lack-wall", value_name = "WALL")]
    may_lack: Vec<Wall>,
    /// Bytes of outputs without a place to publish them that are kept here; the oldest go first.
    #[arg(long, value_name = "QUANTITY", default_value = "10Gi")]
    kept_outputs: String,
    /// Bytes of fetched files that are kept.
    #[arg(long, value_name = "QUANTITY", default_value = "20Gi")]
    store_capacity: String,
    /// Seconds between renewals of the Lease.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    renew_seconds: Duration,
    /// Seconds after the last renewal that succeeded after which every guest is killed.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20")]
    fence_seconds: Duration,
    /// Seconds that killing may take.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2")]
    kill_seconds: Duration,
    /// Seconds after which the operator may give an unrenewed node's work away. The operator must be told the same or more.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    lease_seconds: Duration,
    /// Seconds that running guests get to end by themselves after SIGTERM.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "25")]
    drain_seconds: Duration,
    /// Address of /livez, /readyz and /metrics. Default: none.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What is logged, such as info or node_agent=debug.
    #[arg(long, env = "WASMJOB_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// What the agent is to do, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_name: String,
    pub namespace: String,
    pub pod_uid: String,
    pub kubeconfig: Option<PathBuf>,
    pub state_directory: PathBuf,
    pub slots: u16,
    pub memory_bytes: u64,
    /// Thousandths of a CPU.
    pub millicores: u64,
    pub default_memory_bytes: u64,
    pub default_timeout: Option<Duration>,
    pub s3_credentials: Option<PathBuf>,
    pub ipfs_gateways: Vec<Url>,
    pub ipfs_apis: Vec<Url>,
    pub addresses: AddressPolicy,
    pub digests_required: Vec<String>,
    pub may_lack: Vec<Wall>,
    pub kept_outputs_bytes: u64,
    pub store_capacity_bytes: u64,
    pub timings: Timings,
    pub drain: Duration,
    pub listen: Option<SocketAddr>,
    pub log: String,
}

/// Flags that contradict each other or say nothing that can be done.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("--node-name {0:?} is the name of the operator's Lease: an agent of that name would stop the operator")]
    NameOfOperator(String),
    #[error("--node-name and --pod-uid must not be empty")]
    Nameless,
    #[error("{0}")]
    Timings(crate::lease::BadTimings),
    #[error("{flag}: {why}")]
    Quantity { flag: &'static str, why: String },
    #[error("--default-memory is more than --memory: no job without a limit of its own could ever run")]
    DefaultTooLarge,
}

impl Config {
    /// From the command line and the environment. Ends the process where they cannot be understood, or where they ask for help.
    pub fn read() -> Result<Self, Error> {
        Self::of(Flags::parse())
    }

    fn of(flags: Flags) -> Result<Self, Error> {
        if flags.node_name.is_empty() || flags.pod_uid.is_empty() {
            return Err(Error::Nameless);
        }
        if flags.node_name == names::OPERATOR_LEASE {
            return Err(Error::NameOfOperator(flags.node_name));
        }
        let timings =
            Timings { renew: flags.renew_seconds, fence: flags.fence_seconds, kill: flags.kill_seconds, lease: flags.lease_seconds };
        timings.check().map_err(Error::Timings)?;
        let memory_bytes = match &flags.memory {
            Some(text) => bytes("--memory", text)?,
            None => memory_there() / 4 * 3,
        };
        let default_memory_bytes = bytes("--default-memory", &flags.default_memory)?;
        if default_memory_bytes > memory_bytes && flags.memory.is_some() {
            return Err(Error::DefaultTooLarge);
        }
        Ok(Self {
            memory_bytes,
            default_memory_bytes: default_memory_bytes.min(memory_bytes),
            millicores: millicores(flags.cpu.as_deref())?,
            kept_outputs_bytes: bytes("--kept-outputs", &flags.kept_outputs)?,
            store_capacity_bytes: bytes("--store-capacity", &flags.store_capacity)?,
            timings,
            node_name: flags.node_name,
            namespace: flags.namespace,
            pod_uid: flags.pod_uid,
            kubeconfig: flags.kubeconfig,
            state_directory: flags.state_directory,
            slots: flags.slots,
            default_timeout: flags.default_timeout_seconds.map(Duration::from_secs),
            s3_credentials: flags.s3_credentials,
            ipfs_gateways: flags.ipfs_gateways,
            ipfs_apis: flags.ipfs_apis,
            addresses: AddressPolicy {
                allow_private: flags.allow_private_addresses,
                allowed: flags.allowed_networks,
                allowed_hosts: flags.allowed_hosts.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect(),
                allowed_ports: flags.allowed_ports,
            },
            digests_required: flags.digests_required,
            may_lack: flags.may_lack,
            drain: flags.drain_seconds,
            listen: flags.listen,
            log: flags.log,
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is no number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn bytes(flag: &'static str, text: &str) -> Result<u64, Error> {
    Quantity(text.to_owned()).bytes(flag).map_err(|error| Error::Quantity { flag, why: error.to_string() })
}

fn millicores(text: Option<&str>) -> Result<u64, Error> {
    match text {
        Some(text) => {
            let parsed = Quantity(text.to_owned()).millicores("--cpu");
            parsed.map_err(|error| Error::Quantity { flag: "--cpu", why: error.to_string() })
        }
        None => Ok(std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64) * 1000),
    }
}

/// Bytes of memory of this container or, where it has no limit, of this machine. A gibibyte where neither is told.
fn memory_there() -> u64 {
    let limit = read_number(Path::new("/sys/fs/cgroup/memory.max"));
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    });
    limit.into_iter().chain(total).min().unwrap_or(1 << 30)
}

fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
