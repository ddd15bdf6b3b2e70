//! What a run needs of Secrets, sealed to one node: how it stands in the node's object, and what it is bound to. Seals and opens nothing.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Line;
use crate::digest::Digest;

/// Most bytes that are sealed for one run.
pub const MOST_SEALED_BYTES: usize = 8 << 10;
/// Most characters of a sealed value: those bytes, a key and a tag in base64, and what is around them.
pub(super) const SEALED_CHARACTERS: usize = 11 << 10;
/// What is sealed is of this protocol and of none other (`info` in RFC 9180).
pub const SEALING_INFO: &[u8] = b"wasmjob.dev/v1alpha1 sealed";

/// A sealed value: HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20Poly1305.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// Of the public key that it was sealed to.
    pub key_id: String,
    /// Encapsulated key and ciphertext, one after the other, in base64.
    pub value: String,
    /// When the first session in it ends; it is replaced before. Absent: nothing in it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The key in the map: one value for each run of a job, however many assignments it has there.
pub fn sealed_key(job_uid: &str, run: i64) -> String {
    format!("{job_uid}-{run}")
}

/// What a value is bound to besides the key: moved to another node, object, job or run it cannot be opened.
pub fn sealing_context(node: &str, node_uid: &str, job_uid: &str, run: i64) -> Vec<u8> {
    serde_json::json!([node, node_uid, job_uid, run]).to_string().into_bytes()
}

/// The name of a public key.
pub fn key_id(public_key: &[u8]) -> String {
    Digest::of(public_key).hex()[..16].to_owned()
}

// === impl Sealed ===

impl Line for Sealed {
    fn line(&self) -> String {
        super::line::json(self)
    }

    /// One that cannot be read is sealed to no key: whoever needs it says so, and the others are read.
    fn read(line: &str) -> Result<Self, serde_json::Error> {
        Ok(serde_json::from_str(line).unwrap_or_else(|_| Self { key_id: String::new(), value: String::new(), until: None }))
    }
}

#[cfg(test)]
mod tests;
