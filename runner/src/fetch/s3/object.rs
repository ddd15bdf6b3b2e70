//! One object: looked at once, then read whole or as ranges, all of them of what was looked at.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use base64::Engine as _;
use bytes::Bytes;
use crds::reason::Reason;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Bucket;
use super::refusal::{changed, setback};
use crate::failure::{Failure, chain};
use crate::fetch::body::{Intake, Pace, too_large};
use crate::fetch::retry::{Setback, retrying};
use crate::fetch::scatter::Scatter;
use crate::fetch::{FetchLimits, Progress, Want};
use crate::store::{Blob, Store};

/// Objects of up to this many bytes are read whole, so that the client can compare them with the checksum that the store keeps.
pub(super) const WHOLE_BYTES: u64 = 4 << 20;
/// Requests on their way at once: one connection to a far store is slow.
pub(super) const AT_ONCE: usize = 4;
/// The first ones, which show how fast the store is.
const AT_ONCE_FIRST: usize = 2;
/// One is enough where those came that fast, and cheaper: bytes that come in order are hashed without being read back.
const AT_ONCE_NEAR: usize = 1;
const NEAR_BYTES_PER_MILLISECOND: u128 = 200_000;
/// Bytes of one ranged read, at most: each costs the store some work of its own.
const RANGE_BYTES: u64 = 64 << 20;

/// An object and how it is reached.
pub(super) struct Object<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) key: &'a str,
    pub(super) version_id: Option<&'a str>,
    pub(super) limits: &'a FetchLimits,
}

/// What the store says an object is. Its ETag names a version of it and nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) size_bytes: u64,
    pub(super) etag: Option<String>,
    /// Base64 of the SHA-256 of the whole object, if it was uploaded with one.
    pub(super) sha256: Option<String>,
}

/// The answer to one read, as it comes: never more than it was to be.
struct Body {
    stream: ByteStream,
    pace: Pace,
    length: u64,
    received: u64,
    what: String,
}

// === impl Object ===

impl Object<'_> {
    pub(super) fn what(&self) -> String {
        self.bucket.called(self.key)
    }

    /// Looks at the object.
    pub(super) async fn head(&self) -> Result<Found, Setback> {
        let request = self
            .bucket
            .client
            .head_object()
            .bucket(&self.bucket.name)
            .key(self.key)
            .set_version_id(self.version_id.map(str::to_owned))
            .checksum_mode(ChecksumMode::Enabled)
            .send();
        match Pace::new(self.limits).wait(request, &self.what()).await? {
            Ok(head) => Ok(Found {
                size_bytes: head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or(0),
                sha256: match head.checksum_type() {
                    Some(ChecksumType::FullObject) => head.checksum_sha256,
                    _ => None,
                },
                etag: head.e_tag,
            }),
            // The answer to a HEAD has no body that says more than its status. A GET of nothing much does.
            Err(_) => match self.get(None, Some("bytes=0-0".to_owned())).await {
                Err(explained) => Err(explained),
                Ok(_) => Err(Setback::passing(Reason::FetchFailed, format!("{}: the store answers GET but not HEAD", self.what()))),
            },
        }
    }

    /// Reads what was found, in order, into the store.
    pub(super) async fn read(&self, store: &Store, found: &Found, want: Want<'_>, progress: &Progress) -> Result<Blob, Setback> {
        let what = self.what();
        if found.size_bytes > want.max_bytes {
            return Err(too_large(&what, want.max_bytes).into());
        }
        progress.expect(found.size_bytes);
        let blob = if found.size_bytes <= WHOLE_BYTES {
            let mut intake = Intake::new(store, want.max_bytes, progress);
            for bytes in self.whole(found).await? {
                intake.push(bytes, &what).await?;
            }
            intake.finish(want.expected, &what).await?
        } else {
            let scatter = Scatter::start(store, progress, &what)?;
            self.read_ranges(found, &scatter).await?;
            scatter.finish(found.size_bytes, want.expected, &what).await?
        };
        let sha256 = base64::engine::general_purpose::STANDARD.encode(blob.digest().as_bytes());
        match &found.sha256 {
            Some(promised) if *promised != sha256 => Err(Setback::passing(
                Reason::FetchFailed,
                format!("{what}: expected the checksum {promised} that the store keeps, got {sha256}"),
            )),
            _ => Ok(blob),
        }
    }

    /// Several ranges at once, each to its place as it comes.
    async fn read_ranges(&self, found: &Found, scatter: &Scatter<'_>) -> Result<(), Setback> {
        let begun = Instant::now();
        let mut ranges = ranges(found.size_bytes);
        let first: Vec<_> = ranges.by_ref().take(AT_ONCE_FIRST).collect();
        let bytes = first.last().map_or(0, |(_, end)| *end);
        self.read_some(found, first.into_iter(), AT_ONCE_FIRST, scatter).await?;
        let is_near = u128::from(bytes) >= begun.elapsed().as_millis() * NEAR_BYTES_PER_MILLISECOND;
        self.read_some(found, ranges, if is_near { AT_ONCE_NEAR } else { AT_ONCE }, scatter).await
    }

    async fn read_some(
        &self,
        found: &Found,
        ranges: impl Iterator<Item = (u64, u64)>,
        at_once: usize,
        scatter: &Scatter<'_>,
    ) -> Result<(), Setback> {
        let reads = ranges.map(|(start, end)| self.read_range(found, start, end, scatter));
        // A range that stays out of reach fails the whole, and then all of it may be tried again: the object may have changed.
        let all = stream::iter(reads).buffer_unordered(at_once).try_collect::<()>().await;
        all.map_err(|failure| Setback::Passing(failure, None))
    }

    /// The bytes from `start` to before `end`; one that broke off goes on where it did.
    async fn read_range(&self, found: &Found, start: u64, end: u64, scatter: &Scatter<'_>) -> Result<(), Failure> {
        let at = &AtomicU64::new(start);
        retrying(|| async move {
            let from = at.load(Ordering::Relaxed);
            let mut body = self.body(found, Some((from, end)), end - from).await?;
            while let Some(bytes) = body.next().await? {
                let offset = at.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if !scatter.put(offset, bytes).await {
                    // A thread has hung up. `finish` says why.
                    return Ok(());
                }
            }
            body.is_whole()
        })
        .await
    }

    /// All bytes of a small object.
    async fn whole(&self, found: &Found) -> Result<Vec<Bytes>, Setback> {
        let mut body = self.body(found, None, found.size_bytes).await?;
        let mut chunks = Vec::new();
        while let Some(bytes) = body.next().await? {
            chunks.push(bytes);
        }
        body.is_whole().map(|()| chunks)
    }

    /// What answers one read, which is to be `length` bytes of what was found.
    async fn body(&self, found: &Found, range: Option<(u64, u64)>, length: u64) -> Result<Body, Setback> {
        let what = self.what();
        let range = range.map(|(start, end)| format!("bytes={start}-{}", end - 1));
        let output = self.get(found.etag.clone(), range).await?;
        if output.e_tag != found.etag {
            return Err(changed(&what));
        }
        Ok(Body { stream: output.body, pace: Pace::new(self.limits), length, received: 0, what })
    }

    async fn get(&self, etag: Option<String>, range: Option<String>) -> Result<GetObjectOutput, Setback> {
        let whole = range.is_none().then_some(ChecksumMode::Enabled);
        let request = self
            .bucket
            .client
            .get_object()
            .bucket(&self.bucket.name)
            .key(self.key)
            .set_version_id(self.version_id.map(str::to_owned))
            .set_if_match(etag)
            .set_range(range)
            .set_checksum_mode(whole)
            .send();
        let answer = Pace::new(self.limits).wait(request, &self.what()).await?;
        answer.map_err(|error| setback(self.bucket, self.key, "s3:GetObject", &error))
    }
}

// === impl Body ===

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, Setback> {
        let what = &self.what;
        let broken = |e| Setback::passing(Reason::FetchFailed, format!("{what}: the transfer broke off: {}", chain(&e)));
        let Some(chunk) = self.pace.wait(self.stream.next(), what).await? else { return Ok(None) };
        let bytes = chunk.map_err(broken)?;
        self.pace.count(bytes.len(), what)?;
        self.received += bytes.len() as u64;
        if self.received > self.length {
            let message = format!("{what}: the store sent more than the {} bytes it announced", self.length);
            return Err(Setback::passing(Reason::FetchFailed, message));
        }
        Ok(Some(bytes))
    }

    /// It has ended; it may have too soon.
    fn is_whole(&self) -> Result<(), Setback> {
        if self.received == self.length {
            return Ok(());
        }
        Err(Setback::passing(Reason::FetchFailed, format!("{}: expected {} bytes, got {}", self.what, self.length, self.received)))
    }
}

/// The ranges that an object is read in: large, but enough of them for several at once.
fn ranges(size_bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    let each = size_bytes.div_ceil(AT_ONCE as u64).clamp(WHOLE_BYTES, RANGE_BYTES);
    let starts = (0..size_bytes).step_by(usize::try_from(each).unwrap_or(usize::MAX));
    starts.map(move |start| (start, (start + each).min(size_bytes)))
}
