//! The operator: observe → decide → apply. It turns `WasmJob`s into assignments for nodes and folds what the nodes report into the jobs'
//! status. It runs nothing, and meets the agents only at the API server.
//!
//! `observe` makes compact records of objects; `state` holds them; `decide` says what to ask of the API server (pure; `action` is its
//! vocabulary); `patch` makes JSON patches of it; `apply` asks it. What a run needs of Secrets is judged by `secrets` and sealed by `seal`. `leader` takes the lead (P8); `watch` feeds events; `controller` is the loop
//! that joins them all.

pub mod action;
mod apply;
pub mod config;
mod controller;
pub mod decide;
#[cfg(test)]
mod fixtures;
mod leader;
mod metrics;
pub mod observe;
pub mod patch;
pub mod results;
mod seal;
pub mod secrets;
mod serve;
pub mod sessions;
pub mod state;
mod watch;

pub use controller::run;
