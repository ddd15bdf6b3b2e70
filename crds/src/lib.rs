//! The contract of WasmJob: API types, their validation, the status every reader depends on, and names.
//!
//! Performs no I/O: no async runtime, no client, no clock. The kind: `job`, with `source`, `input`, `output`, `resources`, `quantity`,
//! `digest`, `secret` and the CEL rules of their fields in `rules`. Between operator and agent: `node`, with the `names` that both use. What comes of it: `report` (what a runner says of one attempt), `reason` (the
//! closed list of endings), `status` and `condition` (what a reader of the object sees). Files: `crd` and `generate` (the definition as it
//! is applied), `yaml` (as kubectl reads it), `validate` (what the API server would say).

#![allow(unreachable_pub, reason = "KubeSchema repeats each public struct inside a function")]

pub mod condition;
pub mod crd;
pub mod digest;
pub mod generate;
pub mod input;
pub mod job;
pub mod names;
pub mod node;
pub mod output;
pub mod quantity;
pub mod reason;
pub mod report;
pub mod resources;
mod rules;
pub mod secret;
pub mod source;
pub mod status;
mod text;
pub mod validate;
pub mod yaml;

pub use generate::generated_files;

/// API group of every kind.
pub const GROUP: &str = "wasmjob.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
