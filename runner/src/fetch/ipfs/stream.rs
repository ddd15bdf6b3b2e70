//! What a source sends once it has answered: a CAR, block by block and checked, or one block, or an excuse. Decides nothing.

use bytes::Bytes;
use crds::reason::Reason;
use reqwest::{Response, StatusCode};

use super::super::FetchLimits;
use super::super::body::Pace;
use super::super::retry::Setback;
use super::car::{Block, CarError, CarParser, MAX_BLOCK_BYTES};
use super::cid::{self, Cid};
use crate::failure::{Failure, chain};

/// Longest part of an error's body that is looked at.
const MAX_ERROR_BYTES: usize = 512;

/// A CAR on its way here.
pub(super) struct CarStream {
    source: usize,
    body: Body,
    parser: CarParser,
    unused_bytes: u64,
}

/// The body of an answer, its pace watched.
pub(super) struct Body {
    pub(super) response: Response,
    pace: Pace,
    /// The source, for messages.
    name: String,
}

// === impl CarStream ===

impl CarStream {
    pub(super) fn new(source: usize, body: Body) -> Self {
        Self { source, body, parser: CarParser::default(), unused_bytes: 0 }
    }

    /// The next block, checked; `None` at a clean end. Fails when more than `max_unused_bytes` came that nothing needed.
    pub(super) async fn next(&mut self, max_unused_bytes: u64) -> Result<Option<Block>, Failure> {
        loop {
            if let Some(block) = self.parser.next_block().map_err(|error| self.bad(&error))? {
                return Ok(Some(block));
            }
            match self.body.chunk().await {
                Ok(Some(chunk)) => {
                    self.unused_bytes += chunk.len() as u64;
                    if self.unused_bytes > max_unused_bytes {
                        return Err(self.failure(Reason::FetchTooLarge, "sent too many blocks that nothing links to"));
                    }
                    self.parser.push(&chunk);
                }
                Ok(None) => return self.parser.finish().map(|()| None).map_err(|error| self.bad(&error)),
                Err(failure) if failure.reason == Reason::FetchTimeout => return Err(failure),
                Err(failure) => return Err(Failure::new(Reason::CarIncomplete, failure.message)),
            }
        }
    }

    pub(super) fn source(&self) -> usize {
        self.source
    }

    /// So many of the bytes received were needed.
    pub(super) fn note_used(&mut self, bytes: usize) {
        self.unused_bytes = self.unused_bytes.saturating_sub(bytes as u64);
    }

    /// What the source of this stream did wrong.
    pub(super) fn failure(&self, reason: Reason, said: &str) -> Failure {
        self.body.failure(reason, said)
    }

    fn bad(&self, error: &CarError) -> Failure {
        let reason = match error {
            CarError::Header(_) | CarError::Version(_) | CarError::Mismatch { .. } => Reason::CidMismatch,
            CarError::Long { .. }
            | CarError::Empty { .. }
            | CarError::Varint { .. }
            | CarError::Cid { .. }
            | CarError::Truncated { .. } => Reason::CarIncomplete,
        };
        self.failure(reason, &format!("sent a bad CAR: {error}"))
    }
}

// === impl Body ===

impl Body {
    /// `name` is the source's, for messages.
    pub(super) fn new(response: Response, limits: &FetchLimits, name: String) -> Self {
        Self { response, pace: Pace::new(limits), name }
    }

    /// All of it is the block that `cid` names.
    pub(super) async fn block(mut self, cid: &Cid) -> Result<Bytes, Failure> {
        let mut data = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if data.len() + chunk.len() > MAX_BLOCK_BYTES {
                let said = format!("sent more than {MAX_BLOCK_BYTES} bytes for {cid}, a block has no more");
                return Err(self.failure(Reason::FetchTooLarge, &said));
            }
            data.extend_from_slice(&chunk);
        }
        if !cid::names(cid, &data) {
            return Err(self.failure(Reason::CidMismatch, &format!("sent bytes that are not what {cid} names")));
        }
        Ok(data.into())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let chunk = self.pace.wait(self.response.chunk(), &self.name).await.map_err(into_failure)?;
        let chunk = chunk.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), chain);
            self.failure(Reason::FetchFailed, &format!("the transfer broke off: {cause}"))
        })?;
        self.pace.count(chunk.as_ref().map_or(0, Bytes::len), &self.name).map_err(into_failure)?;
        Ok(chunk)
    }

    /// What an answer other than 200 means.
    pub(super) async fn refusal(&mut self, status: StatusCode) -> Failure {
        let mut text = Vec::new();
        while text.len() < MAX_ERROR_BYTES {
            match self.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                _ => break,
            }
        }
        text.truncate(MAX_ERROR_BYTES);
        let text = String::from_utf8_lossy(&text);
        // kubo's RPC says 500 for everything.
        let without = ["not found", "could not find"].iter().any(|words| text.contains(words));
        let reason = match status.as_u16() {
            404 | 410 => Reason::FetchNotFound,
            500 if without => Reason::FetchNotFound,
            408 | 504 => Reason::FetchTimeout,
            _ => Reason::FetchFailed,
        };
        let text = text.trim();
        let said = if text.is_empty() || text.starts_with('<') { String::new() } else { format!(" ({text})") };
        self.failure(reason, &format!("answered {status}{said}"))
    }

    pub(super) fn failure(&self, reason: Reason, said: &str) -> Failure {
        Failure::new(reason, format!("{}: {said}", self.name))
    }
}

pub(super) fn into_failure(setback: Setback) -> Failure {
    match setback {
        Setback::Final(failure) | Setback::Passing(failure, _) => failure,
    }
}
