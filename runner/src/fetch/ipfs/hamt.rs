//! Where a name has its place in a directory that is spread by the hash of names. Reads no block.
//!
//! The hash is murmur3-x64-64, its bits are used from the highest down, and each level of shards uses as many as its fan-out needs.

use super::unixfs::{Shard, UnixFsError};

/// The bits of the hash that lead from the root of a directory to one of its shards, or to a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The bits themselves, the last one lowest.
    value: u64,
    /// How many they are.
    bits: u32,
    /// How many each level adds; 0 at the root, where it is not known yet.
    step: u32,
}

/// The hash of a name.
pub(super) fn hash(name: &str) -> u64 {
    let mut bytes = name.as_bytes();
    let wide = murmur3::murmur3_x64_128(&mut bytes, 0).expect("reading from memory does not fail");
    // The first half of the 128 bits, as multicodec's murmur3-x64-64 is defined.
    u64::try_from(wide & u128::from(u64::MAX)).expect("it was masked to 64 bits")
}

// === impl Position ===

impl Position {
    /// The place of the link at `index` of the shard that is here.
    pub(super) fn below(self, shard: &Shard, index: usize) -> Result<Self, UnixFsError> {
        let slot = *shard.slots.get(index).ok_or(UnixFsError::Shard("a link without a slot"))?;
        let bits = self.deeper(shard)?;
        Ok(Self { value: self.value.checked_shl(shard.bits).unwrap_or(0) | u64::from(slot), bits, step: shard.bits })
    }

    /// The index of the link of `shard`, which is here, on the way to `hash`, and the place of that link.
    pub(super) fn slot(self, shard: &Shard, hash: u64) -> Result<Option<(usize, Self)>, UnixFsError> {
        let bits = self.deeper(shard)?;
        let slot = (hash >> (64 - bits)) & ((1 << shard.bits) - 1);
        let Some(index) = shard.slots.iter().position(|taken| u64::from(*taken) == slot) else { return Ok(None) };
        self.below(shard, index).map(|below| Some((index, below)))
    }

    /// Whether a name with this hash may be here.
    pub(super) fn holds(self, hash: u64) -> bool {
        self.bits == 0 || hash >> (64 - self.bits) == self.value
    }

    fn deeper(self, shard: &Shard) -> Result<u32, UnixFsError> {
        if self.step != 0 && self.step != shard.bits {
            return Err(UnixFsError::Shard("another fan-out than the shard above it"));
        }
        let bits = self.bits + shard.bits;
        if bits > 64 { Err(UnixFsError::Shard("more levels than a hash has bits")) } else { Ok(bits) }
    }
}
