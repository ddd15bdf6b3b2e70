//! The contract of WasmJob: API types, their validation, the status every reader depends on, and names.
//!
//! Performs no I/O: no async runtime, no client, no clock. Files: `job` (the kind), `source` (where bytes come from), `digest`,
//! `resources` (quantities and limits), `reason` (the closed list of endings), `report` (what a runner says of one attempt),
//! `status` and `condition` (what a reader of the object sees).

pub mod digest;
pub mod job;
pub mod reason;
pub mod report;
pub mod resources;
pub mod source;
pub mod status;

/// API group of every kind.
pub const GROUP: &str = "wasmjob.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
