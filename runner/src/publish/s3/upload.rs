//! One file of an output → one object: whole or in parts, with SHA-256 checksums that the store verifies.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crds::reason::Reason;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::fetch::FetchLimits;
use crate::fetch::retry::{Setback, retrying};
use crate::fetch::s3::Bucket;
use crate::fetch::s3::refusal::{of_publish, setback};
use crate::publish::contents::Part;
use crate::publish::manifest::ManifestFile;
use crate::publish::open_file;
use crate::store::digest_of;

/// Files up to this size are one request; larger ones have parts of this size, or larger where there would be too many.
pub(super) const PART_BYTES: u64 = 8 << 20;
/// Requests on their way at once.
pub(super) const PARTS_AT_ONCE: usize = 4;
/// S3 takes no more parts than this.
const MOST_PARTS: u64 = 10_000;

/// A file and the key that it gets.
pub(super) struct Upload<'a> {
    pub(super) limits: &'a FetchLimits,
    pub(super) bucket: &'a Bucket,
    pub(super) key: String,
    pub(super) part: Part,
}

/// An upload in parts that somebody must complete or abort. Dropped, it is aborted in the background.
struct Multipart {
    client: aws_sdk_s3::Client,
    bucket: String,
    key: String,
    id: String,
    open: bool,
}

// === impl Upload ===

impl Upload<'_> {
    fn what(&self) -> String {
        self.bucket.called(&self.key)
    }

    /// One request.
    pub(super) async fn whole(&self) -> Result<(), Failure> {
        let (directory, file) = (Arc::clone(&self.part.directory), self.part.file.clone());
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            let opened = open_file(directory.as_fd(), &file.path, file.size_bytes)?;
            opened.take(file.size_bytes).read_to_end(&mut bytes).map_err(|e| unread(&file, &e))?;
            if digest_of(&bytes) == file.digest { Ok(Bytes::from(bytes)) } else { Err(changed(&file)) }
        })
        .await?;
        let bytes = &bytes;
        retrying(|| async move {
            let request = self
                .bucket
                .client
                .put_object()
                .bucket(&self.bucket.name)
                .key(&self.key)
                .checksum_sha256(STANDARD.encode(self.part.file.digest.as_bytes()))
                .body(ByteStream::from(bytes.clone()))
                .send();
            let answer = in_time(self.limits, self.part.file.size_bytes, &self.what(), request).await?;
            answer.map(|_| ()).map_err(|error| refused(self.bucket, &self.key, "s3:PutObject", &error))
        })
        .await
    }

    /// Several requests side by side, completed only if all of them together were the file of the manifest.
    pub(super) async fn in_parts(&self) -> Result<(), Failure> {
        let mut multipart = retrying(|| self.begin()).await?;
        let ended = match self.parts(&multipart).await {
            Ok(parts) => retrying(|| self.complete(&multipart, parts.clone())).await,
            Err(failure) => Err(failure),
        };
        multipart.open = false;
        if ended.is_err() {
            multipart.abort().await;
        }
        ended
    }

    async fn begin(&self) -> Result<Multipart, Setback> {
        let request = self
            .bucket
            .client
            .create_multipart_upload()
            .bucket(&self.bucket.name)
            .key(&self.key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send();
        let answer = in_time(self.limits, 0, &self.what(), request).await?;
        let begun = answer.map_err(|error| refused(self.bucket, &self.key, "s3:PutObject", &error))?;
        Ok(Multipart {
            client: self.bucket.client.clone(),
            bucket: self.bucket.name.clone(),
            key: self.key.clone(),
            id: begun.upload_id.unwrap_or_default(),
            open: true,
        })
    }

    async fn parts(&self, multipart: &Multipart) -> Result<Vec<CompletedPart>, Failure> {
        let (to_upload, read) = mpsc::channel(1);
        let (directory, file) = (Arc::clone(&self.part.directory), self.part.file.clone());
        let reading = blocking(move || read_parts(&directory, &file, &to_upload));
        let uploading = stream::unfold(read, next_part)
            .map(|(number, bytes)| async move { retrying(|| self.part(multipart, number, bytes.clone())).await })
            .buffered(PARTS_AT_ONCE)
            .try_collect::<Vec<_>>();
        let ((), parts) = tokio::try_join!(reading, uploading)?;
        Ok(parts)
    }

    async fn part(&self, multipart: &Multipart, number: i32, bytes: Bytes) -> Result<CompletedPart, Setback> {
        let sha256 = STANDARD.encode(digest_of(&bytes).as_bytes());
        let size = bytes.len() as u64;
        let request = self
            .bucket
            .client
            .upload_part()
            .bucket(&self.bucket.name)
            .key(&self.key)
            .upload_id(&multipart.id)
            .part_number(number)
            .checksum_sha256(&sha256)
            .body(ByteStream::from(bytes))
            .send();
        let answer = in_time(self.limits, size, &self.what(), request).await?;
        let kept = answer.map_err(|error| refused(self.bucket, &self.key, "s3:PutObject", &error))?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(kept.e_tag).checksum_sha256(sha256).build())
    }

    async fn complete(&self, multipart: &Multipart, parts: Vec<CompletedPart>) -> Result<(), Setback> {
        let request = self
            .bucket
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket.name)
            .key(&self.key)
            .upload_id(&multipart.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send();
        let answer = in_time(self.limits, self.part.file.size_bytes, &self.what(), request).await?;
        answer.map(|_| ()).map_err(|error| refused(self.bucket, &self.key, "s3:PutObject", &error))
    }
}

// === impl Multipart ===

impl Multipart {
    async fn abort(&self) {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&self.key).upload_id(&self.id).send();
        if let Err(error) = request.await {
            tracing::warn!(key = self.key, %error, "an unfinished upload could not be aborted; a lifecycle rule of the bucket should");
        }
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.open {
            let again =
                Self { client: self.client.clone(), bucket: self.bucket.clone(), key: self.key.clone(), id: self.id.clone(), open: false };
            runtime.spawn(async move { again.abort().await });
        }
    }
}

async fn next_part(mut read: mpsc::Receiver<(i32, Bytes)>) -> Option<((i32, Bytes), mpsc::Receiver<(i32, Bytes)>)> {
    read.recv().await.map(|part| (part, read))
}

/// Reads the file in order, numbering its parts from 1. It must be the file of the manifest.
fn read_parts(directory: &OwnedFd, file: &ManifestFile, parts: &mpsc::Sender<(i32, Bytes)>) -> Result<(), Failure> {
    let mut opened = open_file(directory.as_fd(), &file.path, file.size_bytes)?;
    let part_bytes = PART_BYTES.max(file.size_bytes.div_ceil(MOST_PARTS));
    let mut hasher = Sha256::new();
    for number in 1.. {
        let mut bytes = Vec::with_capacity(usize::try_from(part_bytes).unwrap_or(0));
        (&mut opened).take(part_bytes).read_to_end(&mut bytes).map_err(|e| unread(file, &e))?;
        if bytes.is_empty() {
            break;
        }
        hasher.update(&bytes);
        if parts.blocking_send((number, Bytes::from(bytes))).is_err() {
            // The uploads have failed; they say why.
            return Ok(());
        }
    }
    if hasher.finalize().as_slice() == file.digest.as_bytes() { Ok(()) } else { Err(changed(file)) }
}

/// An answer within the time that so many bytes may take.
pub(super) async fn in_time<T>(limits: &FetchLimits, bytes: u64, what: &str, answer: impl Future<Output = T>) -> Result<T, Setback> {
    let limit = limits.idle_timeout + Duration::from_secs(bytes / limits.min_bytes_per_second.max(1));
    tokio::time::timeout(limit, answer)
        .await
        .map_err(|_| Setback::passing(Reason::PublishFailed, format!("{what}: no answer within {} s", limit.as_secs())))
}

pub(super) fn refused<E>(bucket: &Bucket, key: &str, right: &str, error: &SdkError<E, HttpResponse>) -> Setback
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    of_publish(setback(bucket, key, right, error))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let lost = |_| Err(Failure::new(Reason::PublishFailed, "the thread that reads the output died; this is a defect of ours"));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(lost)
}

fn unread(file: &ManifestFile, error: &std::io::Error) -> Failure {
    Failure::new(Reason::PublishFailed, format!("output {:?}: cannot be read: {error}", file.path))
}

fn changed(file: &ManifestFile) -> Failure {
    Failure::new(Reason::PublishFailed, format!("output {:?}: it is not what the manifest says any more", file.path))
}
