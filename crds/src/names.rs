//! Names that operator, agent, chart and policies share. Nothing else spells them out.

use crate::digest::Digest;

/// Where operator and agents run unless told otherwise; the default pool.
pub const SYSTEM_NAMESPACE: &str = "wasmjob-system";

/// The Lease of the operator's leader.
pub const OPERATOR_LEASE: &str = "wasmjob-operator";

/// On the operator's Lease: the epoch of its holder (P8).
pub const EPOCH_ANNOTATION: &str = "wasmjob.dev/epoch";

/// On a ConfigMap that is a result: of which attempt and output.
pub const RESULT_ANNOTATION: &str = "wasmjob.dev/result";

/// Field manager of everything that the operator writes.
pub const OPERATOR_MANAGER: &str = "wasmjob-operator";

/// Field manager of everything that an agent writes.
pub const AGENT_MANAGER: &str = "wasmjob-agent";

/// Service account of the operator, in the system namespace.
pub const OPERATOR_ACCOUNT: &str = "wasmjob-operator";

/// Service account of the agents, in each pool's namespace.
pub const AGENT_ACCOUNT: &str = "wasmjob-agent";

/// On an agent's Lease and `WasmNode`: [`node_label`] of its node. (Both are named after the node; a node must not be called
/// [`OPERATOR_LEASE`].) The operator looks at those Leases that have it.
pub const NODE_LABEL: &str = "wasmjob.dev/node";

/// The value of [`NODE_LABEL`]: the node's name; of one that is longer than a label may be, its beginning and a part of its SHA-256.
pub fn node_label(node: &str) -> String {
    /// Of a label's value, by Kubernetes.
    const LONGEST: usize = 63;
    /// Hexadecimal digits of the digest.
    const DIGITS: usize = 16;
    if node.len() <= LONGEST {
        return node.to_owned();
    }
    let digest = Digest::of(node.as_bytes()).hex();
    let beginning: String = node.chars().take(LONGEST - DIGITS - 1).collect();
    format!("{beginning}-{}", &digest[..DIGITS])
}

/// The bounds of the histogram `wasmjob_phase_seconds`, which operator and agents share: each twice the one before, from a millisecond to
/// nearly three hours.
pub fn phase_buckets() -> impl Iterator<Item = f64> {
    (0..24).map(|power| f64::from(1_u32 << power) / 1000.0)
}

#[cfg(test)]
mod tests;
