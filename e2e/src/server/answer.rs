//! What a path answers with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One answer. Made by the functions below, extended with `header`.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Honest, with ETag, ranges and conditions.
    Bytes(Arc<[u8]>),
    /// Honest, with ETag, ranges and conditions.
    File(PathBuf),
    /// Without a length, in chunks.
    Chunked(Arc<[u8]>),
    /// Another length than the body has; the connection closes after the body.
    Declared { length: u64, bytes: Arc<[u8]> },
    /// Zeros until the other side leaves.
    Endless,
    /// A piece at a time.
    Slow { bytes: Arc<[u8]>, piece: usize, pause: Duration },
    /// Nothing at all until the other side leaves, not even a status line.
    Silence,
    /// These bytes instead of any HTTP, then the end.
    Raw(Arc<[u8]>),
}

impl Answer {
    /// 200 with these bytes, an ETag made from them, ranges and conditions.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with(200, Body::Bytes(bytes.into().into()))
    }

    /// 200 with a file, an ETag from its size and age, ranges and conditions.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::with(200, Body::File(path.into()))
    }

    /// A status with an empty body.
    pub fn status(status: u16) -> Self {
        Self::with(status, Body::Chunked(Arc::from([])))
    }

    /// A redirect to a URL or path.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// 200 without a length and without ranges, in chunks.
    pub fn chunked(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with(200, Body::Chunked(bytes.into().into()))
    }

    /// 200 that announces `length` bytes and then sends these and closes: fewer is a truncated body, more a lie.
    pub fn declaring(length: u64, bytes: impl Into<Vec<u8>>) -> Self {
        Self::with(200, Body::Declared { length, bytes: bytes.into().into() })
    }

    /// 200 and zeros for ever.
    pub fn endless() -> Self {
        Self::with(200, Body::Endless)
    }

    /// 200 with the honest length, `piece` bytes at a time with a pause after each.
    pub fn slow(bytes: impl Into<Vec<u8>>, piece: usize, pause: Duration) -> Self {
        Self::with(200, Body::Slow { bytes: bytes.into().into(), piece: piece.max(1), pause })
    }

    /// Takes the request and says nothing until the other side leaves.
    pub fn silence() -> Self {
        Self::with(200, Body::Silence)
    }

    /// These bytes on the wire, whatever they are, then the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with(200, Body::Raw(bytes.into().into()))
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same answer with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn with(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body }
    }
}
