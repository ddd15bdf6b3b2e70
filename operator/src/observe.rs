//! Objects of the API server → the compact records that decisions are made of.
//!
//! Reads no clock, writes nothing, decides nothing. What is missing is represented, not guessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::digest::Digest;
use crds::job::WasmJob;
use crds::node::{Assignment, AssignmentReport, EndedReport, Line as _, ReportStage, Sealed, WasmNode, key_id};
use crds::secret::{self, SecretUse};
use crds::status::WasmJobStatus;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;

use crate::results::{self, WantedConfigMap};

/// A job, as much of it as decisions need. Some hundred bytes; ten thousand of them wait in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub resource_version: u64,
    pub generation: i64,
    /// Hash of what to run.
    pub spec_hash: Digest,
    pub created: Timestamp,
    /// Somebody deleted it; a finalizer of somebody else's keeps it.
    pub deleting: bool,
    pub policy: Policy,
    /// What must be free on a node.
    pub memory_bytes: u64,
    /// The ConfigMaps that its spec wants of its outputs; `None`: there are none, as in most.
    pub config_maps: Option<Arc<[WantedConfigMap]>>,
    /// The places of its spec that name Secrets; `None`: there are none, as in most.
    pub secrets: Option<Arc<[SecretUse]>>,
    pub status: Seen,
}

/// The how-to-run half of the spec, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub backoff_limit: i32,
    pub backoff_initial_seconds: i32,
    pub backoff_max_seconds: i32,
    pub active_deadline_seconds: Option<i64>,
    pub ttl_seconds_after_finished: Option<i64>,
    pub suspend: bool,
    pub cancel: bool,
}

/// A job's status as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Nobody has written one.
    Unwritten,
    /// Of a run that has not ended; kept whole, since the next one is made from it.
    Unfinished(Box<WasmJobStatus>),
    /// Of a run that has ended.
    Finished { at: Timestamp, run: i64, observed_generation: i64 },
}

/// A node: its object, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeObject {
    pub uid: Arc<str>,
    pub resource_version: u64,
    pub unschedulable: bool,
    pub epoch: i64,
    pub sequence: i64,
    pub assignments: BTreeMap<Arc<str>, Entry>,
    pub reports: BTreeMap<Arc<str>, Reported>,
    /// To which key what is sealed there was sealed, by job UID and run.
    pub sealed: BTreeMap<Arc<str>, SealedTo>,
    /// What its runs are given is sealed to this; `None`: its agent has said no key that can be one.
    pub key: Option<NodeKey>,
    /// UID of the agent's pod; empty until it has written.
    pub agent: Arc<str>,
    /// Why its agent takes no work, if it says so.
    pub not_ready: Option<String>,
    pub memory_bytes: u64,
    pub slots: usize,
}

/// A node's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKey {
    pub id: Arc<str>,
    pub bytes: [u8; 32],
}

/// What is known of a sealed value without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedTo {
    pub key_id: Arc<str>,
    /// When the first session in it ends.
    pub until: Option<Timestamp>,
    /// How large it is.
    pub bytes: usize,
}

/// An assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub run: i64,
    pub spec_hash: Arc<str>,
    pub attempt: i32,
    pub fence: Arc<str>,
    pub cancel: bool,
    /// As it stands in the object: what is cancelled is this, with a word before it.
    pub line: Arc<str>,
}

/// What the agent says of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    pub fence: Arc<str>,
    pub since: Option<Timestamp>,
    /// Absent while it runs.
    pub ended: Option<Box<EndedReport>>,
}

/// An agent's or the leader's Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSeen {
    pub resource_version: u64,
    /// Empty when it was released.
    pub holder: Arc<str>,
}

/// Why an object cannot be used at all. The API server gives every object these.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{kind} {name} has no {field}")]
pub struct Incomplete {
    kind: &'static str,
    name: String,
    field: &'static str,
}

// === impl Job ===

impl Job {
    /// # Errors
    /// The object has not come from an API server.
    pub fn observe(job: &WasmJob) -> Result<Self, Incomplete> {
        let missing = |field| Incomplete { kind: "WasmJob", name: job.name_any(), field };
        let spec = &job.spec;
        Ok(Self {
            namespace: job.metadata.namespace.as_deref().ok_or_else(|| missing("namespace"))?.into(),
            name: job.metadata.name.as_deref().ok_or_else(|| missing("name"))?.into(),
            uid: job.metadata.uid.as_deref().ok_or_else(|| missing("uid"))?.into(),
            resource_version: resource_version(job.metadata.resource_version.as_deref()).ok_or_else(|| missing("resourceVersion"))?,
            generation: job.metadata.generation.unwrap_or(1),
            spec_hash: spec.run.digest(),
            created: job.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deleting: job.metadata.deletion_timestamp.is_some(),
            policy: Policy::of(spec),
            memory_bytes: memory(spec.run.resources.as_ref()),
            config_maps: results::wanted(&spec.run),
            secrets: Some(secret::uses(&spec.run)).filter(|uses| !uses.is_empty()).map(Into::into),
            status: Seen::of(job.status.as_ref()),
        })
    }

    /// Number of the run that is to be carried out.
    pub fn run(&self) -> i64 {
        match &self.status {
            Seen::Unwritten => 1,
            Seen::Unfinished(status) => status.run.unwrap_or(1),
            Seen::Finished { run, .. } => *run,
        }
    }

    pub fn unfinished(&self) -> Option<&WasmJobStatus> {
        match &self.status {
            Seen::Unfinished(status) => Some(status),
            Seen::Unwritten | Seen::Finished { .. } => None,
        }
    }

    pub fn is_finished(&self) -> bool {
        matches!(self.status, Seen::Finished { .. })
    }
}

fn memory(resources: Option<&crds::resources::Resources>) -> u64 {
    let requested = resources.and_then(|resources| resources.requests.as_ref()?.memory.as_ref());
    let limit = resources.and_then(|resources| resources.limits.as_ref()?.memory.as_ref());
    requested.or(limit).and_then(|quantity| quantity.bytes("memory").ok()).unwrap_or(0)
}

// === impl Policy ===

/// Seconds before the first retry of a guest that failed, and the most between two tries, where the spec says nothing (as Job).
const BACKOFF_SECONDS: (i32, i32) = (10, 360);

impl Policy {
    fn of(spec: &crds::job::WasmJobSpec) -> Self {
        let backoff = spec.retry_backoff.unwrap_or_default();
        Self {
            backoff_limit: spec.backoff_limit.unwrap_or(0),
            backoff_initial_seconds: backoff.initial_seconds.unwrap_or(BACKOFF_SECONDS.0),
            backoff_max_seconds: backoff.max_seconds.unwrap_or(BACKOFF_SECONDS.1),
            active_deadline_seconds: spec.active_deadline_seconds,
            ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
            suspend: spec.suspend.unwrap_or(false),
            cancel: spec.cancel.unwrap_or(false),
        }
    }
}

// === impl Seen ===

impl Seen {
    pub fn of(status: Option<&WasmJobStatus>) -> Self {
        let Some(status) = status.filter(|status| status.run.is_some()) else { return Self::Unwritten };
        match &status.completion_time {
            Some(at) if status.is_finished() => {
                Self::Finished { at: at.0, run: status.run.unwrap_or(1), observed_generation: status.observed_generation.unwrap_or(0) }
            }
            _ => Self::Unfinished(Box::new(status.clone())),
        }
    }
}

// === impl NodeObject ===

impl NodeObject {
    /// # Errors
    /// The object has not come from an API server.
    pub fn observe(node: &WasmNode) -> Result<Self, Incomplete> {
        let missing = |field| Incomplete { kind: "WasmNode", name: node.name_any(), field };
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        Ok(Self {
            uid: node.metadata.uid.as_deref().ok_or_else(|| missing("uid"))?.into(),
            resource_version: resource_version(node.metadata.resource_version.as_deref()).ok_or_else(|| missing("resourceVersion"))?,
            unschedulable: node.spec.unschedulable,
            epoch: node.spec.epoch,
            sequence: node.spec.sequence,
            assignments: node.spec.assignments.iter().map(|(id, entry)| (id.as_str().into(), Entry::of(entry))).collect(),
            reports: status
                .into_iter()
                .flat_map(|status| &status.reports)
                .map(|(id, report)| (id.as_str().into(), Reported::of(report)))
                .collect(),
            sealed: node.spec.sealed.iter().map(|(key, sealed)| (key.as_str().into(), SealedTo::of(sealed))).collect(),
            key: status.and_then(|status| NodeKey::of(&status.public_key)),
            agent: status.map_or("", |status| &status.agent).into(),
            not_ready: not_ready(status),
            memory_bytes: allocatable.and_then(|allocatable| allocatable.memory.bytes("memory").ok()).unwrap_or(0),
            slots: allocatable.and_then(|allocatable| usize::try_from(allocatable.slots).ok()).unwrap_or(0),
        })
    }

    /// The report about an entry; one with another fence is about another attempt (P7).
    pub fn report(&self, id: &str) -> Option<&Reported> {
        let entry = self.assignments.get(id)?;
        self.reports.get(id).filter(|report| report.fence == entry.fence)
    }
}

fn not_ready(status: Option<&crds::node::WasmNodeStatus>) -> Option<String> {
    let ready = status.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == crds::condition::READY));
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(ready.message.clone()),
        None => Some("its agent has not said that it is ready".to_owned()),
    }
}

impl NodeKey {
    fn of(text: &str) -> Option<Self> {
        let bytes = <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok()?;
        Some(Self { id: key_id(&bytes).into(), bytes })
    }
}

impl SealedTo {
    fn of(sealed: &Sealed) -> Self {
        Self { key_id: sealed.key_id.as_str().into(), until: sealed.until, bytes: sealed.value.len() }
    }
}

impl Entry {
    /// Under which key lies what its run is given.
    pub fn sealed_key(&self) -> String {
        crds::node::sealed_key(&self.uid, self.run)
    }

    fn of(entry: &Assignment) -> Self {
        Self {
            namespace: entry.job.namespace.as_str().into(),
            name: entry.job.name.as_str().into(),
            uid: entry.job.uid.as_str().into(),
            run: entry.job.run,
            spec_hash: entry.job.spec_hash.as_str().into(),
            attempt: entry.attempt,
            fence: entry.fence.as_str().into(),
            cancel: entry.cancel,
            line: entry.read_as.clone().unwrap_or_else(|| entry.line().into()),
        }
    }
}

impl Reported {
    fn of(report: &AssignmentReport) -> Self {
        Self {
            fence: report.fence.as_str().into(),
            since: report.start_time.as_ref().map(|time| time.0),
            ended: report.ended.clone().filter(|_| report.stage == ReportStage::Ended).map(Box::new),
        }
    }
}

// === impl LeaseSeen ===

impl LeaseSeen {
    /// `None`: the object has not come from an API server.
    pub fn observe(lease: &Lease) -> Option<Self> {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        Some(Self { resource_version: resource_version(lease.metadata.resource_version.as_deref())?, holder: holder.into() })
    }
}

/// Resource versions of one kind are compared as numbers (KEP-5504 makes that the rule; etcd's always were).
pub fn resource_version(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests;
