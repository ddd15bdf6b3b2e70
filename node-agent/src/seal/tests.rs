use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::node::{AssignedJob, SEALING_INFO, Sealed, key_id, sealing_context};
use crds::secret::Granted;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeS, Serializable as _};
use tokio::sync::watch;

use super::{Grants, SealingKey, Unopened};

const NODE: (&str, &str) = ("n1", "uid-of-n1");

fn job(uid: &str, run: i64) -> AssignedJob {
    let [namespace, name, spec_hash] = ["team-a", "job", "hash"].map(str::to_owned);
    AssignedJob { namespace, name, uid: uid.to_owned(), run, generation: 1, spec_hash }
}

fn granted() -> Granted {
    let values = BTreeMap::from([("key".to_owned(), b"hunter2".to_vec().into())]);
    Granted { secrets: BTreeMap::from([("name".to_owned(), values)]), ..Granted::default() }
}

/// As RFC 9180 says, and nothing of ours.
fn seal(public: &str, plain: &[u8], context: &[u8]) -> Sealed {
    let public = STANDARD.decode(public).expect("base64");
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public).expect("a key");
    let suite = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;
    let (encapsulated, ciphertext) = suite(&OpModeS::Base, &key, SEALING_INFO, plain, context).expect("sealed");
    let value = STANDARD.encode([encapsulated.to_bytes().as_slice(), &ciphertext].concat());
    Sealed { key_id: key_id(&public), value, until: None }
}

#[test]
fn what_was_sealed_for_this_run_on_this_node_opens_and_nothing_else() {
    let key = Arc::new(SealingKey::generate().expect("random numbers"));
    let other = SealingKey::generate().expect("random numbers");
    let plain = granted().to_bytes();
    let context = sealing_context(NODE.0, NODE.1, "job", 1);
    let good = seal(key.public(), &plain, &context);
    let with = |value: &str| Some(Sealed { value: value.to_owned(), ..good.clone() });
    let mut flipped = STANDARD.decode(&good.value).expect("base64");
    flipped[40] ^= 1;
    let rows = [
        ("as it was sealed", Some(good.clone()), job("job", 1), Ok(())),
        ("nothing there", None, job("job", 1), Err(Unopened::Nothing)),
        ("of an agent before", Some(seal(other.public(), &plain, &context)), job("job", 1), Err(Unopened::OtherKey)),
        ("another job", Some(good.clone()), job("other", 1), Err(Unopened::Changed)),
        ("another run", Some(good.clone()), job("job", 2), Err(Unopened::Changed)),
        ("another node", Some(seal(key.public(), &plain, &sealing_context("n2", NODE.1, "job", 1))), job("job", 1), Err(Unopened::Changed)),
        ("another object", Some(seal(key.public(), &plain, &sealing_context("n1", "x", "job", 1))), job("job", 1), Err(Unopened::Changed)),
        ("a bit flipped", with(&STANDARD.encode(&flipped)), job("job", 1), Err(Unopened::Changed)),
        ("cut short", with(&STANDARD.encode(&flipped[..20])), job("job", 1), Err(Unopened::Changed)),
        ("no base64", with("?"), job("job", 1), Err(Unopened::Changed)),
        ("not of ours", Some(seal(key.public(), b"[]", &context)), job("job", 1), Err(Unopened::Changed)),
    ];
    for (what, sealed, job, expected) in rows {
        let (_sender, receiver) = watch::channel(sealed);
        let opened = Grants::new(key.clone(), NODE, &job, receiver).open();
        assert_eq!(opened.as_ref().map(|opened| assert!(*opened == granted())).map_err(|error| *error), expected, "{what}");
    }
}

#[test]
fn what_is_sealed_anew_is_what_is_opened_from_then_on() {
    let key = Arc::new(SealingKey::generate().expect("random numbers"));
    let context = sealing_context(NODE.0, NODE.1, "job", 1);
    let (sender, receiver) = watch::channel(Some(seal(key.public(), &granted().to_bytes(), &context)));
    let grants = Grants::new(key.clone(), NODE, &job("job", 1), receiver);
    assert!(grants.open().expect("it opens") == granted());
    sender.send_replace(Some(seal(key.public(), &Granted::default().to_bytes(), &context)));
    assert!(grants.open().expect("it opens") == Granted::default());
    assert!(!format!("{grants:?} {key:?}").contains(&STANDARD.encode([0; 8])), "prints its id alone");
}
