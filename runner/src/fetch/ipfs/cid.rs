//! Which content identifiers are accepted, and whether bytes are what a CID names. Fetches and decodes nothing.
//!
//! Follows the CID and multihash specifications; narrower than they are: two codecs, three hash functions of 32 bytes, and inline data
//! of at most 128 bytes.

use crds::reason::Reason;
use multihash_codetable::{Code, MultihashDigest as _};

use crate::failure::Failure;

/// A CID whose multihash holds up to 128 bytes: the longest inline ("identity") data that is accepted.
pub type Cid = cid::CidGeneric<128>;

/// Multicodec of a block that is the bytes themselves.
pub(super) const RAW: u64 = 0x55;
/// Multicodec of a block with links, dag-pb.
pub(super) const DAG_PB: u64 = 0x70;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const BLAKE3: u64 = 0x1e;
const BLAKE2B_256: u64 = 0xb220;

/// Longest text that can be an accepted CID: 128 inline bytes in base 2, the widest base, with room for the prefix.
const MAX_TEXT_BYTES: usize = 1200;

/// Why a CID is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refusal {
    #[error("it is empty")]
    Empty,
    #[error("it is {0} bytes long")]
    Long(usize),
    #[error("it is a path or a URL; write the CID alone, and what follows it in `path`")]
    Path,
    #[error("names under /ipns/ can change; write the CID that the name points to")]
    Mutable,
    #[error("it cannot be decoded: {0}")]
    Garbage(String),
    #[error("there are bytes after its hash")]
    Trailing,
    #[error("its codec {0:#x} is not supported: add the data as UnixFS files (dag-pb or raw)")]
    Codec(u64),
    #[error("its hash function {0:#x} is not supported: add the data with sha2-256, blake2b-256 or blake3")]
    HashFunction(u64),
    #[error("its hash has {0} bytes, 32 were expected")]
    HashLength(u8),
}

/// What tells two blocks apart, whatever the version and codec of the CID that names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockKey {
    // The function is part of the key: a block checked with one hash must not answer for another.
    function: u64,
    digest: [u8; 32],
}

/// Reads a CID as people write it: base58 for version 0, any multibase for version 1.
///
/// # Errors
///
/// `CidInvalid` with what is wrong about it.
pub fn parse_cid(text: &str) -> Result<Cid, Failure> {
    parse(text).map_err(|refusal| {
        let shown: String = text.chars().take(80).collect();
        Failure::new(Reason::CidInvalid, format!("ipfs.cid {shown:?} is not accepted: {refusal}"))
    })
}

fn parse(text: &str) -> Result<Cid, Refusal> {
    if text.is_empty() {
        return Err(Refusal::Empty);
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(Refusal::Long(text.len()));
    }
    if text.contains("ipns/") || text.starts_with("ipns:") {
        return Err(Refusal::Mutable);
    }
    if text.contains(['/', ':']) {
        return Err(Refusal::Path);
    }
    let bytes = decode_base(text)?;
    from_bytes(&bytes)
}

fn decode_base(text: &str) -> Result<Vec<u8>, Refusal> {
    use cid::multibase::{Base, decode, encode};
    let garbage = |error: cid::multibase::Error| Refusal::Garbage(error.to_string());
    if cid::Version::is_v0_str(text) {
        return Base::Base58Btc.decode(text).map_err(garbage);
    }
    let (base, bytes) = decode(text).map_err(garbage)?;
    // The decoder takes either case where the base has one.
    if encode(base, &bytes) == text { Ok(bytes) } else { Err(Refusal::Garbage("it mixes upper and lower case".to_owned())) }
}

/// The accepted CID that exactly these bytes are.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Cid, Refusal> {
    let (cid, rest) = read(bytes)?;
    if !rest.is_empty() {
        return Err(Refusal::Trailing);
    }
    check(&cid)?;
    Ok(cid)
}

/// Any CID at the start of `bytes`, and what follows it.
pub(super) fn read(bytes: &[u8]) -> Result<(Cid, &[u8]), Refusal> {
    let mut rest = bytes;
    let cid = Cid::read_bytes(&mut rest).map_err(|error| Refusal::Garbage(error.to_string()))?;
    Ok((cid, rest))
}

/// Whether blocks with this CID can be checked and read.
pub(super) fn check(cid: &Cid) -> Result<(), Refusal> {
    if !matches!(cid.codec(), RAW | DAG_PB) {
        return Err(Refusal::Codec(cid.codec()));
    }
    match (cid.hash().code(), cid.hash().size()) {
        // The type holds at most 128 bytes of them.
        (IDENTITY, _) | (SHA2_256 | BLAKE2B_256 | BLAKE3, 32) => Ok(()),
        (SHA2_256 | BLAKE2B_256 | BLAKE3, length) => Err(Refusal::HashLength(length)),
        (function, _) => Err(Refusal::HashFunction(function)),
    }
}

/// Whether `data` is what `cid`, an accepted CID, names.
pub(super) fn names(cid: &Cid, data: &[u8]) -> bool {
    let code = match cid.hash().code() {
        IDENTITY => return cid.hash().digest() == data,
        SHA2_256 => Code::Sha2_256,
        BLAKE2B_256 => Code::Blake2b256,
        BLAKE3 => Code::Blake3_256,
        _ => return false,
    };
    code.digest(data).digest() == cid.hash().digest()
}

/// The data that the CID itself carries.
pub(super) fn inline(cid: &Cid) -> Option<&[u8]> {
    (cid.hash().code() == IDENTITY).then(|| cid.hash().digest())
}

/// The key of the block that `cid` names; `None` when it is inline or not accepted.
pub(super) fn key(cid: &Cid) -> Option<BlockKey> {
    let digest = cid.hash().digest().try_into().ok()?;
    let function = cid.hash().code();
    matches!(function, SHA2_256 | BLAKE2B_256 | BLAKE3).then_some(BlockKey { function, digest })
}

#[cfg(test)]
mod tests;
