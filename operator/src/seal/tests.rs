use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::node::{MOST_SEALED_BYTES, SEALING_INFO, Sealed, key_id, sealing_context};
use crds::secret::Granted;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, Serializable as _};

use super::{Error, seal};
use crate::observe::NodeKey;

type Private = <X25519HkdfSha256 as Kem>::PrivateKey;

fn key() -> (Private, NodeKey) {
    let (private, public) = X25519HkdfSha256::gen_keypair();
    let bytes: [u8; 32] = public.to_bytes().into();
    (private, NodeKey { id: key_id(&bytes).into(), bytes })
}

fn granted(value: &[u8]) -> Granted {
    let values = BTreeMap::from([("key".to_owned(), value.to_vec().into())]);
    Granted { secrets: BTreeMap::from([("name".to_owned(), values)]), ..Granted::default() }
}

/// As RFC 9180 says, and nothing of ours.
fn open(sealed: &Sealed, private: &Private, context: &[u8]) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(&sealed.value).expect("base64");
    let (encapsulated, ciphertext) = bytes.split_at(32);
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).expect("32 bytes");
    let suite = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;
    suite(&OpModeR::Base, private, &encapsulated, SEALING_INFO, ciphertext, context).ok()
}

#[test]
fn only_the_nodes_key_opens_it_and_only_as_it_was_meant() {
    let ((private, key), (other, _)) = (key(), key());
    let granted = granted(b"hunter2");
    let sealed = seal(&granted, &key, ("n1", "uid-n1"), ("job", 2)).expect("it is sealed");
    assert_eq!((&*sealed.key_id, sealed.until), (&*key.id, None));
    let context = sealing_context("n1", "uid-n1", "job", 2);
    let opened = open(&sealed, &private, &context).expect("it opens");
    assert!(Granted::from_bytes(&opened).expect("what was sealed") == granted);
    assert_eq!(open(&sealed, &other, &context), None, "another key");
    for (node, node_uid, job, run) in
        [("n2", "uid-n1", "job", 2), ("n1", "x", "job", 2), ("n1", "uid-n1", "x", 2), ("n1", "uid-n1", "job", 1)]
    {
        assert_eq!(open(&sealed, &private, &sealing_context(node, node_uid, job, run)), None, "{node} {node_uid} {job} {run}");
    }
    let again = seal(&granted, &key, ("n1", "uid-n1"), ("job", 2)).expect("it is sealed");
    assert_ne!(again.value, sealed.value, "each time with a key of its own");
}

#[test]
fn what_is_too_large_or_to_no_key_is_not_sealed() {
    let (_, key) = key();
    let frame = granted(b"").to_bytes().len();
    let seal = |granted: &Granted, key: &NodeKey| seal(granted, key, ("n", "u"), ("j", 1));
    assert!(seal(&granted(&vec![b'x'; MOST_SEALED_BYTES - frame]), &key).is_ok());
    let beyond = seal(&granted(&vec![b'x'; MOST_SEALED_BYTES - frame + 1]), &key);
    assert!(matches!(beyond, Err(Error::TooLarge { bytes }) if bytes == MOST_SEALED_BYTES + 1));
    // A point by which every secret becomes zero.
    let low = NodeKey { bytes: [0; 32], id: "low".into() };
    assert!(matches!(seal(&granted(b"x"), &low), Err(Error::Key { .. })));
}
