//! `WasmJob.status`: what a reader of the object sees.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The state of the job's current run.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct WasmJobStatus {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
