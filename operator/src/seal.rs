//! What a run is given of Secrets → sealed to the key of the node that is to run it: HPKE, RFC 9180 (`docs/protocol.md`, P2).
//!
//! Reads no Secret and opens nothing: only the node's agent can.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::node::{MOST_SEALED_BYTES, SEALING_INFO, Sealed, sealing_context};
use crds::secret::{Granted, credentials};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use crate::observe::NodeKey;

/// Why nothing was sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to seal to the node's public key, {id}: its agent made a bad one")]
    Key { id: String },
    #[error("unable to seal {bytes} bytes: at most {MOST_SEALED_BYTES} are")]
    TooLarge { bytes: usize },
}

/// Seals to the key of a node, for one run of one job there and for nothing else.
///
/// # Errors
/// The key is none, or there is too much.
pub(crate) fn seal(granted: &Granted, key: &NodeKey, node: (&str, &str), job: (&str, i64)) -> Result<Sealed, Error> {
    let plain = granted.to_bytes();
    if plain.len() > MOST_SEALED_BYTES {
        return Err(Error::TooLarge { bytes: plain.len() });
    }
    let bad = |_| Error::Key { id: key.id.to_string() };
    let public = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&key.bytes).map_err(bad)?;
    let context = sealing_context(node.0, node.1, job.0, job.1);
    let sealed =
        hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(&OpModeS::Base, &public, SEALING_INFO, &plain, &context);
    let (encapsulated, ciphertext) = sealed.map_err(bad)?;
    let mut value = encapsulated.to_bytes().to_vec();
    value.extend_from_slice(&ciphertext);
    Ok(Sealed { key_id: key.id.to_string(), value: STANDARD.encode(value), until: until(granted) })
}

/// When the first session in it ends.
fn until(granted: &Granted) -> Option<Timestamp> {
    let ends = granted.stores.values().filter_map(|session| session.get(credentials::EXPIRATION));
    ends.filter_map(|end| std::str::from_utf8(end.expose_secret()).ok()?.parse().ok()).min()
}

#[cfg(test)]
mod tests;
