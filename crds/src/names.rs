//! Names that operator, agent, chart and policies share. Nothing else spells them out.

/// Where operator and agents run unless told otherwise; the default pool.
pub const SYSTEM_NAMESPACE: &str = "wasmjob-system";

/// The Lease of the operator's leader.
pub const OPERATOR_LEASE: &str = "wasmjob-operator";

/// On the operator's Lease: the epoch of its holder (P8).
pub const EPOCH_ANNOTATION: &str = "wasmjob.dev/epoch";

/// Field manager of everything that the operator writes.
pub const OPERATOR_MANAGER: &str = "wasmjob-operator";

/// Field manager of everything that an agent writes.
pub const AGENT_MANAGER: &str = "wasmjob-agent";

/// Service account of the operator, in the system namespace.
pub const OPERATOR_ACCOUNT: &str = "wasmjob-operator";

/// Service account of the agents, in each pool's namespace.
pub const AGENT_ACCOUNT: &str = "wasmjob-agent";

/// On an agent's Lease and `WasmNode`: its node's name. (Both are named after the node; a node must not be called [`OPERATOR_LEASE`].)
pub const NODE_LABEL: &str = "wasmjob.dev/node";
