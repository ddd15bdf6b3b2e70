use cid::CidGeneric;
use cid::multibase::Base;
use multihash_codetable::{Code, MultihashDigest as _};
use proptest::prelude::*;

use super::*;

type Multihash = cid::multihash::Multihash<128>;

const HELLO_V0: &str = "QmWATWQ7fVPP2EFGu71UkfnqhYXDYH566qy47CnJDgvs8u";

fn cid(codec: u64, function: u64, digest: &[u8]) -> Cid {
    Cid::new_v1(codec, Multihash::wrap(function, digest).unwrap())
}

fn sha2() -> Cid {
    cid(RAW, SHA2_256, Code::Sha2_256.digest(b"hello").digest())
}

#[test]
fn cids_are_read_in_every_spelling() {
    for text in [
        HELLO_V0.to_owned(),
        sha2().to_string(),
        sha2().to_string_of_base(Base::Base32Upper).unwrap(),
        sha2().to_string_of_base(Base::Base36Lower).unwrap(),
        sha2().to_string_of_base(Base::Base58Btc).unwrap(),
        sha2().to_string_of_base(Base::Base16Lower).unwrap(),
        cid(DAG_PB, BLAKE2B_256, &[7; 32]).to_string(),
        cid(DAG_PB, BLAKE3, &[7; 32]).to_string(),
        cid(RAW, IDENTITY, b"").to_string(),
        cid(RAW, IDENTITY, &[7; 128]).to_string_of_base(Base::Base2).unwrap(),
    ] {
        assert_eq!(parse(&text).err(), None, "{text}");
    }
    assert_eq!(parse(HELLO_V0).unwrap().codec(), DAG_PB);
}

#[test]
fn other_cids_are_refused_for_what_they_are() {
    let of = |codec, function, length| cid(codec, function, &[7; 128][..length]).to_string();
    let trailing = cid::multibase::encode(Base::Base32Lower, [sha2().to_bytes(), vec![0]].concat());
    let long_identity = CidGeneric::<200>::new_v1(RAW, cid::multihash::Multihash::wrap(IDENTITY, &[7; 129]).unwrap());
    for (text, expected) in [
        (String::new(), Refusal::Empty),
        ("b".repeat(10 << 10), Refusal::Long(10 << 10)),
        (format!("/ipfs/{HELLO_V0}"), Refusal::Path),
        (format!("ipfs://{HELLO_V0}"), Refusal::Path),
        (format!("{HELLO_V0}/file"), Refusal::Path),
        ("/ipns/example.com".to_owned(), Refusal::Mutable),
        ("ipns://example.com".to_owned(), Refusal::Mutable),
        (trailing, Refusal::Trailing),
        (of(0x71, SHA2_256, 32), Refusal::Codec(0x71)),
        (of(0x0129, SHA2_256, 32), Refusal::Codec(0x0129)),
        (of(0x78, SHA2_256, 32), Refusal::Codec(0x78)),
        (of(RAW, 0x11, 20), Refusal::HashFunction(0x11)),
        (of(RAW, 0x22, 8), Refusal::HashFunction(0x22)),
        (of(RAW, 0x13, 64), Refusal::HashFunction(0x13)),
        (of(RAW, 0x7777, 32), Refusal::HashFunction(0x7777)),
        (of(RAW, SHA2_256, 16), Refusal::HashLength(16)),
        (of(RAW, BLAKE3, 64), Refusal::HashLength(64)),
    ] {
        assert_eq!(parse(&text), Err(expected), "{text}");
    }
    for garbage in [
        "garbage".to_owned(),
        "Qm".to_owned(),
        "b".to_owned(),
        HELLO_V0.replace('W', "0"),
        HELLO_V0.replace('W', "l"),
        sha2().to_string().to_uppercase().replacen('B', "b", 1),
        format!("?{}", &sha2().to_string()[1..]),
        sha2().to_string()[..20].to_owned(),
        format!(" {HELLO_V0}"),
        "\u{1F680}afy".to_owned(),
        long_identity.to_string(),
        // Version 0 inside a multibase text.
        cid::multibase::encode(Base::Base32Lower, [&[0x00, 0x70, 0x12, 0x20], &[7_u8; 32][..]].concat()),
        cid::multibase::encode(Base::Base32Lower, [&[0x02, 0x70, 0x12, 0x20], &[7_u8; 32][..]].concat()),
    ] {
        assert!(matches!(parse(&garbage), Err(Refusal::Garbage(_))), "{garbage}: {:?}", parse(&garbage));
    }
}

#[test]
fn a_refusal_names_the_field_and_does_not_repeat_a_long_text() {
    let failure = parse_cid(&"x".repeat(5000)).unwrap_err();
    assert_eq!(failure.reason, Reason::CidInvalid);
    assert!(failure.message.starts_with("ipfs.cid \"xxx") && failure.message.len() < 300, "{}", failure.message);
}

#[test]
fn bytes_are_what_a_cid_names_only_under_its_own_hash() {
    let digests = [
        (SHA2_256, Code::Sha2_256.digest(b"hello").digest().to_vec()),
        (BLAKE2B_256, Code::Blake2b256.digest(b"hello").digest().to_vec()),
        (BLAKE3, Code::Blake3_256.digest(b"hello").digest().to_vec()),
    ];
    for (function, digest) in &digests {
        assert!(names(&cid(RAW, *function, digest), b"hello"));
        assert!(!names(&cid(RAW, *function, digest), b"hellp"));
        assert!(!names(&cid(RAW, *function, digest), b""));
        for other in digests.iter().filter(|other| other.0 != *function) {
            assert!(!names(&cid(RAW, *function, &other.1), b"hello"));
            assert_ne!(key(&cid(RAW, *function, digest)), key(&cid(RAW, other.0, digest)));
        }
    }
    assert!(names(&cid(RAW, IDENTITY, b"hello"), b"hello") && !names(&cid(RAW, IDENTITY, b"hello"), b"hellp"));
    assert!(!names(&cid(RAW, 0x13, Code::Sha2_512.digest(b"hello").digest()), b"hello"));
    assert_eq!(key(&cid(RAW, IDENTITY, &[7; 32])), None);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = parse_cid(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        if let Ok(cid) = from_bytes(&bytes) {
            prop_assert_eq!(cid.to_bytes(), bytes);
            prop_assert_eq!(parse_cid(&cid.to_string()), Ok(cid));
        }
    }
}
