//! The closed list of reasons: how a run stands or ended, in one word that machines may match on.
//!
//! Each has a page of documentation under `docs/reasons/`; a test compares the two.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a run stands where it stands. Written to status as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Reason {
    /// The guest returned or exited with 0.
    Completed,
    /// The guest exited with another code.
    GuestExit,
    /// The guest trapped; exit code 134.
    Trap,
    /// The guest needed more memory than `resources.limits.memory`; exit code 137.
    MemoryLimit,
    /// The guest used up `wasmLimits.fuel`.
    OutOfFuel,
    /// The guest ran longer than `timeoutSeconds`; exit code 124.
    Timeout,
    /// The run was cancelled.
    Cancelled,
    /// The guest tried to reach the network. Recorded, never an end.
    NetworkDenied,
    /// The source refused to give the bytes, or its address may not be contacted.
    FetchDenied,
    /// The source has no such object.
    FetchNotFound,
    /// The source has more bytes than may be fetched.
    FetchTooLarge,
    /// The source took longer than fetching may take.
    FetchTimeout,
    /// The source could not be reached or broke off.
    FetchFailed,
    /// The bytes are not the ones that `digest` names.
    DigestMismatch,
    /// The bytes are no WebAssembly, or invalid WebAssembly.
    ModuleInvalid,
    /// The module needs a WebAssembly feature that is not offered.
    ModuleUnsupported,
    /// The module imports a function that is not offered.
    ImportNotAllowed,
    /// Compiling the module took more time or memory than it may.
    CompileLimit,
    /// An archive that is to be unpacked holds what must not be unpacked, or is damaged.
    ArchiveUnsafe,
    /// The CID cannot be decoded, or names a hash or codec that is not accepted.
    CidInvalid,
    /// A gateway gave bytes that are not the CID's.
    CidMismatch,
    /// A gateway gave less than the whole of the CID's blocks.
    CarIncomplete,
    /// The guest wrote more than an output may hold.
    OutputTooLarge,
    /// The guest left something in an output that must not be published.
    OutputUnsafe,
    /// The results could not be published.
    PublishFailed,
    /// The credentials were refused, or there are none.
    CredentialDenied,
    /// The worker process died of something else than the guest's own ending.
    WorkerKilled,
    /// The machine lacks a wall that guests do not run without.
    SandboxUnavailable,
    /// The spec cannot be run as it is written.
    InvalidSpec,
    /// Nothing has started yet.
    Pending,
    /// The run is under way.
    Running,
    /// The job is suspended: nothing of it runs.
    Suspended,
    /// No node can take it now. Of the condition `Scheduled`, never an end.
    Unschedulable,
    /// The job took longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// The guest failed more often than `backoffLimit` allows.
    BackoffLimitExceeded,
    /// The node's agent was started anew while the attempt was running.
    AgentRestarted,
    /// The node stopped answering, and its work was given to others.
    NodeLost,
    /// The node gave the attempt back: a drain, or it never began.
    Disrupted,
    /// The node's agent did not find what it was told to run. Never an end.
    Refused,
}

/// Whether and how a failure is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryClass {
    /// No failure: nothing to retry.
    NoFailure,
    /// The same spec would fail the same way: no retry.
    Final,
    /// The guest's own ending: retried as often as the spec's backoff limit says.
    Counted,
    /// Something around the guest failed and may work the next time: retried within a budget of its own.
    Budgeted,
    /// What ran it was lost. Free three times, then counted like the guest's own ending: a guest that kills its agents must not walk
    /// through the fleet (P16).
    Lost,
    /// Nothing was tried, or it was interrupted on purpose: always free.
    Free,
}

// === impl Reason ===

impl Reason {
    /// Every reason, in the order of the pages' index.
    pub const ALL: [Self; 39] = [
        Self::Pending,
        Self::Running,
        Self::Suspended,
        Self::Unschedulable,
        Self::Completed,
        Self::GuestExit,
        Self::Trap,
        Self::MemoryLimit,
        Self::OutOfFuel,
        Self::Timeout,
        Self::Cancelled,
        Self::NetworkDenied,
        Self::InvalidSpec,
        Self::CredentialDenied,
        Self::FetchDenied,
        Self::FetchNotFound,
        Self::FetchTooLarge,
        Self::FetchTimeout,
        Self::FetchFailed,
        Self::DigestMismatch,
        Self::ArchiveUnsafe,
        Self::CidInvalid,
        Self::CidMismatch,
        Self::CarIncomplete,
        Self::ModuleInvalid,
        Self::ModuleUnsupported,
        Self::ImportNotAllowed,
        Self::CompileLimit,
        Self::OutputTooLarge,
        Self::OutputUnsafe,
        Self::PublishFailed,
        Self::WorkerKilled,
        Self::SandboxUnavailable,
        Self::AgentRestarted,
        Self::NodeLost,
        Self::Disrupted,
        Self::Refused,
        Self::BackoffLimitExceeded,
        Self::DeadlineExceeded,
    ];

    /// The name that status carries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::GuestExit => "GuestExit",
            Self::Trap => "Trap",
            Self::MemoryLimit => "MemoryLimit",
            Self::OutOfFuel => "OutOfFuel",
            Self::Timeout => "Timeout",
            Self::Cancelled => "Cancelled",
            Self::NetworkDenied => "NetworkDenied",
            Self::FetchDenied => "FetchDenied",
            Self::FetchNotFound => "FetchNotFound",
            Self::FetchTooLarge => "FetchTooLarge",
            Self::FetchTimeout => "FetchTimeout",
            Self::FetchFailed => "FetchFailed",
            Self::DigestMismatch => "DigestMismatch",
            Self::ModuleInvalid => "ModuleInvalid",
            Self::ModuleUnsupported => "ModuleUnsupported",
            Self::ImportNotAllowed => "ImportNotAllowed",
            Self::CompileLimit => "CompileLimit",
            Self::ArchiveUnsafe => "ArchiveUnsafe",
            Self::CidInvalid => "CidInvalid",
            Self::CidMismatch => "CidMismatch",
            Self::CarIncomplete => "CarIncomplete",
            Self::OutputTooLarge => "OutputTooLarge",
            Self::OutputUnsafe => "OutputUnsafe",
            Self::PublishFailed => "PublishFailed",
            Self::CredentialDenied => "CredentialDenied",
            Self::WorkerKilled => "WorkerKilled",
            Self::SandboxUnavailable => "SandboxUnavailable",
            Self::InvalidSpec => "InvalidSpec",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::Unschedulable => "Unschedulable",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::AgentRestarted => "AgentRestarted",
            Self::NodeLost => "NodeLost",
            Self::Disrupted => "Disrupted",
            Self::Refused => "Refused",
        }
    }

    /// The reason of that name. `None`: it is of another version.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Whether a failure with this reason is worth another try.
    pub const fn retry_class(self) -> RetryClass {
        match self {
            Self::Completed | Self::NetworkDenied | Self::Pending | Self::Running | Self::Suspended | Self::Unschedulable => {
                RetryClass::NoFailure
            }
            Self::WorkerKilled | Self::AgentRestarted | Self::NodeLost => RetryClass::Lost,
            Self::Disrupted | Self::Refused => RetryClass::Free,
            Self::GuestExit | Self::Trap | Self::MemoryLimit | Self::OutOfFuel | Self::Timeout => RetryClass::Counted,
            Self::FetchTimeout
            | Self::FetchFailed
            | Self::CidMismatch
            | Self::CarIncomplete
            | Self::PublishFailed
            | Self::SandboxUnavailable => RetryClass::Budgeted,
            Self::Cancelled
            | Self::DeadlineExceeded
            | Self::BackoffLimitExceeded
            | Self::InvalidSpec
            | Self::CredentialDenied
            | Self::FetchDenied
            | Self::FetchNotFound
            | Self::FetchTooLarge
            | Self::DigestMismatch
            | Self::ArchiveUnsafe
            | Self::CidInvalid
            | Self::ModuleInvalid
            | Self::ModuleUnsupported
            | Self::ImportNotAllowed
            | Self::CompileLimit
            | Self::OutputTooLarge
            | Self::OutputUnsafe => RetryClass::Final,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
