//! The closed list of reasons: how a run stands or ended, in one word that machines may match on.
//!
//! Each has a page of documentation under `docs/reasons/`; a test compares the two.

use serde::{Deserialize, Serialize};

/// Why a run stands where it stands. Written to status as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    FetchDenied,
    FetchNotFound,
    FetchTooLarge,
    FetchTimeout,
    FetchFailed,
    DigestMismatch,
    ModuleInvalid,
    ModuleUnsupported,
    ImportNotAllowed,
    CompileLimit,
    CidInvalid,
    CidMismatch,
    CarIncomplete,
    OutputTooLarge,
    OutputUnsafe,
    PublishFailed,
    CredentialDenied,
    /// The worker process died of something else than the guest's own ending.
    WorkerKilled,
    InvalidSpec,
    Pending,
    Running,
}
