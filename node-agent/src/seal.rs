//! The agent's key, made when it starts, and what is opened with it: what runs are given of Secrets (HPKE, RFC 9180; P2).
//!
//! The private half is in this process's memory and nowhere else. Reads no object and seals nothing.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::node::{AssignedJob, SEALING_INFO, Sealed, key_id, sealing_context};
use crds::secret::Granted;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, Serializable as _};
use rustix::rand::{GetRandomFlags, getrandom};
use secrecy::zeroize::Zeroizing;
use tokio::sync::watch;

/// A key pair that lasts as long as the process.
pub(crate) struct SealingKey {
    private: <X25519HkdfSha256 as Kem>::PrivateKey,
    public: String,
    id: String,
}

/// Why what was sealed for a run cannot be used. Never an end: it is sealed again (P2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    #[error("nothing is sealed for this run")]
    Nothing,
    #[error("it was sealed to a key that this agent has not: the agent was started anew")]
    OtherKey,
    #[error("it does not open: it was sealed for another node, job or run, or was changed")]
    Changed,
}

/// What one attempt is given of Secrets: the newest that is sealed for its run, opened whenever it is asked for.
#[derive(Clone)]
pub(crate) struct Grants {
    key: Arc<SealingKey>,
    context: Arc<[u8]>,
    sealed: watch::Receiver<Option<Sealed>>,
}

// === impl SealingKey ===

impl SealingKey {
    /// # Errors
    /// The kernel gives no random numbers.
    pub(crate) fn generate() -> std::io::Result<Self> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        let got = getrandom(&mut seed[..], GetRandomFlags::empty())?;
        if got < seed.len() {
            return Err(std::io::Error::other("too few random numbers"));
        }
        let (private, public) = X25519HkdfSha256::derive_keypair(&seed[..]);
        let public = public.to_bytes();
        Ok(Self { private, public: STANDARD.encode(public), id: key_id(&public) })
    }

    /// As status tells it.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    fn open(&self, sealed: &Sealed, context: &[u8]) -> Result<Granted, Unopened> {
        if sealed.key_id != self.id {
            return Err(Unopened::OtherKey);
        }
        let bytes = STANDARD.decode(&sealed.value).map_err(|_| Unopened::Changed)?;
        let (encapsulated, ciphertext) = bytes.split_at_checked(ENCAPSULATED).ok_or(Unopened::Changed)?;
        let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| Unopened::Changed)?;
        let plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            SEALING_INFO,
            ciphertext,
            context,
        );
        let plain = Zeroizing::new(plain.map_err(|_| Unopened::Changed)?);
        Granted::from_bytes(&plain).map_err(|_| Unopened::Changed)
    }
}

/// Bytes of an encapsulated key.
const ENCAPSULATED: usize = 32;

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

// === impl Grants ===

impl Grants {
    /// What is sealed for a job's run, to the node's object of that UID.
    pub(crate) fn new(key: Arc<SealingKey>, node: (&str, &str), job: &AssignedJob, sealed: watch::Receiver<Option<Sealed>>) -> Self {
        let context = sealing_context(node.0, node.1, &job.uid, job.run).into();
        Self { key, context, sealed }
    }

    /// # Errors
    /// It is not there, or not for this key, node, job and run.
    pub(crate) fn open(&self) -> Result<Granted, Unopened> {
        let sealed = self.sealed.borrow();
        self.key.open(sealed.as_ref().ok_or(Unopened::Nothing)?, &self.context)
    }
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grants").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
