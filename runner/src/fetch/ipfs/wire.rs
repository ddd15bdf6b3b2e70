//! Protobuf fields, one after another, as dag-pb and UnixFS blocks are written. Knows no message.
//!
//! Our own because the crates at hand either read past the end of a nested message or cut long varints silently: content that two
//! readers see differently is what a content address must not be.

use std::ops::Range;

/// Why bytes are no protobuf message.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum WireError {
    #[error("a field ends after the message")]
    Truncated,
    #[error("a varint has more than 64 bits")]
    Varint,
    #[error("a field has number 0 or one beyond the format's limit")]
    Number,
    #[error("a field has wire type {0}")]
    Type(u64),
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Varint(u64),
    /// Where the bytes of a string, of bytes or of a message lie in the message read.
    Bytes(Range<usize>),
    /// A fixed 32 or 64 bit value. No message that is read here has one.
    Fixed,
}

/// The fields of a message. Ends after the first error.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn field(&mut self) -> Result<(u64, Value), WireError> {
        let key = self.varint()?;
        let number = key >> 3;
        if !(1..1 << 29).contains(&number) {
            return Err(WireError::Number);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.skip(4)?,
            other => return Err(WireError::Type(other)),
        };
        Ok((number, value))
    }

    fn skip(&mut self, length: usize) -> Result<Value, WireError> {
        self.take(length).map(|_| Value::Fixed)
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>, WireError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(WireError::Truncated)?;
        Ok(std::mem::replace(&mut self.at, end)..end)
    }

    /// The varint that comes next: also the items of a packed field.
    pub(super) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for index in 0..10 {
            let byte = *self.bytes.get(self.at).ok_or(WireError::Truncated)?;
            self.at += 1;
            if index == 9 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Varint)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u64, Value), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}
