//! Runs one WebAssembly job on this machine: fetch → prepare → execute → publish → report. Knows no Kubernetes.
//!
//! | file | lives here |
//! |---|---|
//! | `attempt` | the straight line from a task to its `Report` |
//! | `fetch`, `fetch/*` | a source → verified bytes in the store |
//! | `store` | content-addressed files: temporary → verified → final name |
//! | `mounts` | the directories a guest sees, built from the store by links |
//! | `prepare`, `prepare/*` | bytes → checked imports → compiled module, cached |
//! | `zygote`, `worker` | the processes a guest runs in |
//! | `walls`, `walls/*` | what such a process, and a compiler, cannot do whatever it executes |
//! | `lease` | until when they may |
//! | `sandbox`, `sandbox/*` | the only code that drives wasmtime |
//! | `publish`, `publish/*` | output directory → manifest and result location |

mod attempt;
mod compiler;
mod execute;
pub mod failure;
pub mod fetch;
pub mod lease;
mod mounts;
mod order;
mod prepare;
mod process;
pub mod publish;
pub mod role;
mod runner;
mod sandbox;
pub mod store;
mod streams;
pub mod task;
pub mod walls;
mod worker;
mod workers;
mod zygote;

pub use runner::{Config, Error, GuestLimits, Runner};
