//! Quantities as Kubernetes writes them (`64Mi`, `500m`), and the limits a guest runs under.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run asks for and may use at most.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceRequests>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
}

/// What must be free on the machine before the run starts.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRequests {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// What the guest may use at most.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLimits {
    /// Linear memory and tables of the guest together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// Limits of the WebAssembly engine.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WasmLimits {
    /// Instructions the guest may execute, in wasmtime's fuel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<i64>,
    /// Bytes of stack for WebAssembly frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_stack_bytes: Option<i64>,
    /// Elements of all tables together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_table_elements: Option<i64>,
}

/// A Kubernetes quantity, kept as written.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(transparent)]
pub struct Quantity(pub String);
