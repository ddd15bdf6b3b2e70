//! What a run asks for and may use, and the limits of the engine.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

pub use crate::quantity::{ParseQuantityError, Quantity};

/// What a run asks for and may use at most.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0")
    .message("requests.memory must not exceed limits.memory: the guest could never use it").field_path(".requests.memory"))]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What must be free on the machine before the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceRequests>,
    /// What the guest may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
}

/// What must be free on the machine before the run starts.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRequests {
    /// CPUs, or thousandths of one: 1, 500m. A machine that has less does not run it. Default: nothing is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::cpu())]
    pub cpu: Option<Quantity>,
    /// Bytes of memory, such as 128Mi; from 64Ki to 4Gi. A machine that has less does not run it. Default: nothing is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::memory())]
    pub memory: Option<Quantity>,
}

/// What the guest may use at most.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLimits {
    /// Bytes of the guest's linear memories and tables together, such as 256Mi; from 64Ki to 4Gi. A guest that asks for more gets none,
    /// as from any full machine; where it ends of that, the reason is MemoryLimit and the exit code 137. Default: the administrator's,
    /// else 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::memory())]
    pub memory: Option<Quantity>,
}

/// Limits of the WebAssembly engine.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WasmLimits {
    /// Fuel the guest may burn, about one unit per instruction. It counts the same on every machine, and makes the guest slower. A guest
    /// that uses it up ends with OutOfFuel. Default: not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub fuel: Option<i64>,
    /// Bytes of stack for the guest's calls, 64 KiB to 64 MiB. A guest that recurses deeper traps. Default: 1048576.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65_536, max = 67_108_864))]
    pub max_stack_bytes: Option<i64>,
    /// Elements of all the guest's tables together, at most 10000000. Growing a table beyond it fails. Default: 1048576.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_table_elements: Option<i64>,
}
