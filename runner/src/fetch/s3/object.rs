//! One object: looked at once, then read as ranges that must all be of what was looked at.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use base64::Engine as _;
use bytes::Bytes;
use crds::reason::Reason;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::Bucket;
use super::refusal::{changed, setback};
use crate::failure::chain;
use crate::fetch::body::{Intake, Pace, too_large};
use crate::fetch::retry::{Setback, retrying};
use crate::fetch::{FetchLimits, Progress, Want};
use crate::store::{Blob, Store};

/// Bytes of one ranged read.
pub(super) const RANGE_BYTES: u64 = 4 << 20;
/// Ranges on their way at once. With one that waits and one that is being hashed and written, this bounds the memory of a fetch.
pub(super) const RANGES_AT_ONCE: usize = 4;

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
        let mut intake = Intake::new(store, want.max_bytes, progress);
        if found.size_bytes <= RANGE_BYTES {
            // Whole, so that the client can compare it with the checksum that the store keeps.
            for bytes in self.part(found, None, found.size_bytes).await? {
                intake.push(bytes, &what).await?;
            }
        } else {
            self.read_ranges(found, &mut intake).await?;
        }
        let blob = intake.finish(want.expected, &what).await?;
        let sha256 = base64::engine::general_purpose::STANDARD.encode(blob.digest().as_bytes());
        match &found.sha256 {
            Some(promised) if *promised != sha256 => Err(Setback::passing(
                Reason::FetchFailed,
                format!("{what}: expected the checksum {promised} that the store keeps, got {sha256}"),
            )),
            _ => Ok(blob),
        }
    }

    /// Several ranges on their way while the first of them is handed on.
    async fn read_ranges(&self, found: &Found, intake: &mut Intake<'_>) -> Result<(), Setback> {
        let what = self.what();
        let starts = (0..found.size_bytes).step_by(usize::try_from(RANGE_BYTES).unwrap_or(usize::MAX));
        let (to_intake, mut parts) = mpsc::channel(1);
        let receive =
            async move {
                let mut ranges =
                    stream::iter(starts.map(|start| {
                        let end = (start + RANGE_BYTES).min(found.size_bytes);
                        // A range that stays out of reach fails the whole, and then all of it may be tried again: the object may have changed.
                        async move {
                            retrying(|| self.part(found, Some((start, end)), end - start)).await.map_err(|e| Setback::Passing(e, None))
                        }
                    }))
                    .buffered(RANGES_AT_ONCE);
                while let Some(part) = ranges.try_next().await? {
                    if to_intake.send(part).await.is_err() {
                        break;
                    }
                }
                Ok(())
            };
        let hand_on = async {
            while let Some(part) = parts.recv().await {
                for bytes in part {
                    intake.push(bytes, &what).await?;
                }
            }
            Ok::<(), Setback>(())
        };
        tokio::try_join!(receive, hand_on).map(|_| ())
    }

    /// The bytes of one read, exactly `length` of them.
    async fn part(&self, found: &Found, range: Option<(u64, u64)>, length: u64) -> Result<Vec<Bytes>, Setback> {
        let what = self.what();
        let range = range.map(|(start, end)| format!("bytes={start}-{}", end - 1));
        let output = self.get(found.etag.clone(), range).await?;
        if output.e_tag != found.etag {
            return Err(changed(&what));
        }
        let chunks = collect(output.body, length, &what, self.limits).await?;
        let got: u64 = chunks.iter().map(|bytes| bytes.len() as u64).sum();
        if got != length {
            return Err(Setback::passing(Reason::FetchFailed, format!("{what}: expected {length} bytes, got {got}")));
        }
        Ok(chunks)
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

/// A body of at most `most` bytes.
async fn collect(mut body: ByteStream, most: u64, what: &str, limits: &FetchLimits) -> Result<Vec<Bytes>, Setback> {
    let mut pace = Pace::new(limits);
    let mut chunks = Vec::new();
    let mut received = 0;
    while let Some(chunk) = pace.wait(body.next(), what).await? {
        let bytes = chunk.map_err(|e| Setback::passing(Reason::FetchFailed, format!("{what}: the transfer broke off: {}", chain(&e))))?;
        pace.count(bytes.len(), what)?;
        received += bytes.len() as u64;
        if received > most {
            return Err(Setback::passing(Reason::FetchFailed, format!("{what}: the store sent more than the {most} bytes it announced")));
        }
        chunks.push(bytes);
    }
    Ok(chunks)
}
