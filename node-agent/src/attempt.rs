//! One entry, carried out: read the job, check that it is what was meant, wait for room, resolve ConfigMaps, run, report.
//!
//! Writes nothing to the API server and decides nothing about other entries.

mod config_maps;
mod digests;
mod job;
mod secrets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crds::job::WasmJob;
use crds::node::{Assignment, AssignmentReport, EndedReport, ReportStage};
use crds::reason::Reason;
use crds::report::Report;
use crds::secret::Granted;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use runner::Runner;
use runner::failure::Failure;
use runner::task::{Identity, Observer, Sink, Task};
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::config_maps::resolve;
pub use self::job::why_not;
use crate::journal::Journal;
use crate::kept::KeptOutputs;
use crate::metrics::Metrics;
use crate::s3_access::S3Credentials;
use crate::seal::Grants;

/// What every attempt of an agent shares.
pub(crate) struct Means {
    pub(crate) client: Client,
    pub(crate) runner: Arc<Runner>,
    pub(crate) journal: Journal,
    pub(crate) s3: S3Credentials,
    pub(crate) kept: KeptOutputs,
    /// Folder for what ConfigMaps hold, as files.
    pub(crate) scratch: PathBuf,
    pub(crate) metrics: Metrics,
    /// Requests at once: each takes a connection.
    pub(crate) requests: Semaphore,
    /// Namespaces whose jobs say the digest of whatever may change at its source.
    pub(crate) digests_required: Vec<String>,
    /// Of a guest whose job sets no limit.
    pub(crate) default_memory_bytes: u64,
    /// Of all guests together.
    pub(crate) memory_bytes: u64,
}

/// One entry, to be carried out.
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) entry: Assignment,
    pub(crate) observer: Arc<Observer>,
    /// What is sealed for its run.
    pub(crate) grants: Grants,
    /// There is room: what is written before the guest starts is written while the job is read.
    pub(crate) likely: bool,
    pub(crate) asking: mpsc::UnboundedSender<Asks>,
}

/// An attempt that asks for room, and how it is told that it has it.
pub(crate) struct Asks {
    pub(crate) id: String,
    pub(crate) fence: String,
    pub(crate) memory_bytes: u64,
    pub(crate) admit: oneshot::Sender<()>,
}

/// Connections for reading jobs and ConfigMaps.
pub(crate) const REQUESTS_AT_ONCE: usize = 16;

/// How long a server that fails is asked for a job, before the entry is given back.
const PATIENCE: Duration = Duration::from_secs(20);

/// Carries an entry out. Every ending is a report.
pub(crate) async fn carry_out(means: &Means, order: Order) -> AssignmentReport {
    let start = Timestamp::now();
    let fence = order.entry.fence.clone();
    let ended = match attempt(means, order).await {
        Ok(report) => {
            let start_time = Some(Time(report.start_time));
            return AssignmentReport { fence, stage: ReportStage::Ended, start_time, ended: Some(EndedReport::of(&report)) };
        }
        Err(failure) => EndedReport::without_guest(failure.reason, &failure.message, Timestamp::now()),
    };
    AssignmentReport { fence, stage: ReportStage::Ended, start_time: Some(Time(start)), ended: Some(ended) }
}

async fn attempt(means: &Means, order: Order) -> Result<Report, Failure> {
    let Order { id, entry, observer, grants, likely, asking } = order;
    let index = only_index(&entry.indexes)?;
    let started = async { if likely { Some(means.journal.started(&id, &entry.fence).await) } else { None } };
    let (job, started) = tokio::join!(job::read(means, &entry.job, PATIENCE), started);
    let job = job?;
    digests::check(&means.digests_required, &entry.job.namespace, &job.spec.run)?;
    let granted = secrets::open(&grants, &job.spec.run)?;
    let memory_bytes = memory(means, &job)?;
    let (admit, admitted) = oneshot::channel();
    let asks = Asks { id: id.clone(), fence: entry.fence.clone(), memory_bytes, admit };
    let given_back = || Failure::new(Reason::Disrupted, "the node gave it back before it began");
    asking.send(asks).map_err(|_| given_back())?;
    admitted.await.map_err(|_| given_back())?;
    // P12: written before the guest may start.
    let started = match started {
        Some(started) => started,
        None => means.journal.started(&id, &entry.fence).await,
    };
    started.map_err(|error| Failure::new(Reason::Disrupted, format!("the node's disk is full or broken: {error}")))?;
    run(means, &entry, index, job, (grants, granted), observer).await
}

async fn run(
    means: &Means,
    entry: &Assignment,
    index: i64,
    job: WasmJob,
    (grants, granted): (Grants, Granted),
    observer: Arc<Observer>,
) -> Result<Report, Failure> {
    let mut s3 = means.s3.of(&entry.job.namespace);
    s3.of_secrets = secrets::s3(&job.spec.run, &grants, &granted);
    let resolved = resolve(means, &entry.job.namespace, job.spec.run, &granted).await?;
    drop(granted);
    let output_directory = means.kept.place(&entry.job, index, entry)?;
    let task = Task {
        identity: Identity {
            namespace: entry.job.namespace.clone(),
            name: entry.job.name.clone(),
            run: entry.job.run,
            index,
            attempt: i64::from(entry.attempt),
            fence: entry.fence.clone(),
        },
        what: resolved.what,
        local: resolved.local,
        s3: Some(s3),
        given: resolved.given,
        stdin: resolved.stdin,
        stdout: Sink::Tail,
        stderr: Sink::Tail,
        output_directory: output_directory.clone(),
        flatten_single_output: false,
        observer,
    };
    let report = means.runner.run(task).await;
    means.metrics.phases(&report.durations, report.module.is_some(), !report.results.is_empty());
    drop(resolved.folder);
    means.kept.settle(output_directory, &report);
    Ok(report)
}

/// Jobs of this version have one completion.
fn only_index(indexes: &str) -> Result<i64, Failure> {
    let refused = |_| Failure::new(Reason::Refused, format!("this agent runs one index at a time, not {indexes:?}: upgrade it"));
    indexes.parse().map_err(refused)
}

/// Bytes of memory that the guest may use, which must be there at all.
fn memory(means: &Means, job: &WasmJob) -> Result<u64, Failure> {
    let limit = job.spec.run.resources.as_ref().and_then(|resources| resources.limits.as_ref()).and_then(|limits| limits.memory.as_ref());
    let bytes = match limit {
        Some(limit) => limit.bytes("spec.resources.limits.memory").map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?,
        None => means.default_memory_bytes,
    };
    if bytes > means.memory_bytes {
        let message = format!("the job may use {bytes} bytes of memory, this node has {} for all guests", means.memory_bytes);
        return Err(Failure::new(Reason::Refused, message));
    }
    Ok(bytes)
}

/// The version of wasmtime that the runner is built with.
pub(crate) const WASMTIME: &str = "48.0.8";

#[cfg(test)]
mod tests;
