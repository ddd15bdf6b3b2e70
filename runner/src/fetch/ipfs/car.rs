//! A CAR stream → blocks that were checked against their CIDs. Knows nothing of what they mean or whether any is missing.
//!
//! CARv1 as the IPLD specification has it. Parses what is pushed into it and reads no socket. Memory is bounded by one block and one
//! push, whatever lengths the stream claims. `roots` is not looked at: the sender of the stream wrote it.

use bytes::{Buf as _, Bytes, BytesMut};
use serde::Deserialize;

use super::cid::{self, Cid};

/// Largest block, in bytes: what every IPFS implementation agrees to transfer.
pub(super) const MAX_BLOCK_BYTES: usize = 2 << 20;
/// Largest header: room for several hundred roots, of which none is used.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Largest CID in front of a block: 128 bytes of hash, and four varints.
const MAX_CID_BYTES: usize = 128 + 40;
/// Bytes of the longest 64-bit varint.
const MAX_VARINT_BYTES: usize = 10;

/// A block whose bytes are what its CID names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) cid: Cid,
    pub(super) data: Bytes,
}

/// Why a stream is no CAR, or not all of one. Offsets count from its start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum CarError {
    #[error("it is not a CAR stream: {0}")]
    Header(String),
    #[error("it is a CAR of version {0}, only version 1 is read: ask for version=1")]
    Version(u64),
    #[error("the section at byte {at} claims {length} bytes, a block has at most {MAX_BLOCK_BYTES}")]
    Long { at: u64, length: u64 },
    #[error("the section at byte {at} is empty")]
    Empty { at: u64 },
    #[error("the length at byte {at} is no varint")]
    Varint { at: u64 },
    #[error("the section at byte {at} does not begin with a CID: {reason}")]
    Cid { at: u64, reason: String },
    #[error("the bytes at byte {at} are not what their CID {cid} names")]
    Mismatch { at: u64, cid: Box<Cid> },
    #[error("it ends in the middle of a section, at byte {at}")]
    Truncated { at: u64 },
}

/// A reader of one stream.
#[derive(Debug, Default)]
pub(super) struct CarParser {
    buffer: BytesMut,
    /// Bytes of the stream before `buffer`.
    offset: u64,
    past_header: bool,
}

#[derive(Deserialize)]
struct Header {
    version: u64,
}

// === impl CarParser ===

impl CarParser {
    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next block; `None` when more bytes are needed. Blocks that nobody can check, since their CID is not one we accept, are
    /// passed over.
    pub(super) fn next_block(&mut self) -> Result<Option<Block>, CarError> {
        if !self.past_header {
            let Some(header) = self.section(MAX_HEADER_BYTES)? else { return Ok(None) };
            check_header(&header)?;
            self.past_header = true;
        }
        loop {
            let at = self.offset;
            let Some(section) = self.section(MAX_BLOCK_BYTES + MAX_CID_BYTES)? else { return Ok(None) };
            if let Some(block) = read_block(&section, at)? {
                return Ok(Some(block));
            }
        }
    }

    /// Whether the stream may end here. It may still lack blocks: only a walk over them can tell.
    pub(super) fn finish(&self) -> Result<(), CarError> {
        if self.past_header && self.buffer.is_empty() { Ok(()) } else { Err(CarError::Truncated { at: self.offset }) }
    }

    fn section(&mut self, limit: usize) -> Result<Option<Bytes>, CarError> {
        let at = self.offset;
        let Some((length, prefix)) = read_varint(&self.buffer, at)? else { return Ok(None) };
        if length == 0 {
            return Err(CarError::Empty { at });
        }
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= limit) else {
            return Err(if self.past_header {
                CarError::Long { at, length }
            } else {
                CarError::Header(format!("its header would be {length} bytes long"))
            });
        };
        if self.buffer.len() < prefix + length {
            return Ok(None);
        }
        self.buffer.advance(prefix);
        self.offset += (prefix + length) as u64;
        // A copy of its own: a slice would keep the whole receive buffer alive for as long as the block is kept.
        let section = Bytes::copy_from_slice(&self.buffer[..length]);
        self.buffer.advance(length);
        Ok(Some(section))
    }
}

fn read_block(section: &Bytes, at: u64) -> Result<Option<Block>, CarError> {
    let (cid, data) = cid::read(section).map_err(|refusal| CarError::Cid { at, reason: refusal.to_string() })?;
    if cid::check(&cid).is_err() {
        return Ok(None);
    }
    if data.len() > MAX_BLOCK_BYTES {
        return Err(CarError::Long { at, length: data.len() as u64 });
    }
    if !cid::names(&cid, data) {
        return Err(CarError::Mismatch { at, cid: Box::new(cid) });
    }
    Ok(Some(Block { cid, data: section.slice_ref(data) }))
}

fn check_header(header: &[u8]) -> Result<(), CarError> {
    let Header { version } = serde_ipld_dagcbor::from_slice(header).map_err(|error| CarError::Header(error.to_string()))?;
    if version == 1 { Ok(()) } else { Err(CarError::Version(version)) }
}

/// An unsigned varint at the start of `bytes` and the bytes it takes; `None` when it goes on beyond them.
fn read_varint(bytes: &[u8], at: u64) -> Result<Option<(u64, usize)>, CarError> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte holds the 64th bit and nothing else.
        if index == MAX_VARINT_BYTES - 1 && bits > 1 {
            return Err(CarError::Varint { at });
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= MAX_VARINT_BYTES { Err(CarError::Varint { at }) } else { Ok(None) }
}

#[cfg(test)]
mod tests;
