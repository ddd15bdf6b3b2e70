//! An output → objects below an S3 prefix of its own, its manifest last: who sees `manifest.json` sees everything that it lists.

mod upload;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::job::S3Publish;
use crds::reason::Reason;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use self::upload::{PART_BYTES, PARTS_AT_ONCE, Upload, in_time, refused};
use super::manifest::{Manifest, ManifestFile};
use crate::failure::Failure;
use crate::fetch::retry::{Setback, retrying};
use crate::fetch::s3::{Bucket, S3};
use crate::fetch::{FetchConfig, FetchLimits};
use crate::store::digest_of;

/// Name of the manifest beside the files that it lists. An output with a file of this name at its top is refused.
const MANIFEST: &str = "manifest.json";

/// Where an output of one attempt goes.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub publish: &'a S3Publish,
    pub namespace: &'a str,
    pub job: &'a str,
    pub run: i64,
    pub index: i64,
    pub attempt: i64,
    /// Tells this attempt from every other that believes to be it.
    pub fence: &'a str,
    /// The output's name where an attempt has several: each gets a prefix, and a manifest, of its own.
    pub output: Option<&'a str>,
}

// === impl Destination ===

impl Destination<'_> {
    /// What the keys of this attempt begin with.
    pub fn prefix(&self) -> String {
        let prefix = self.publish.prefix.as_deref().unwrap_or_default();
        let filled = prefix.replace("{namespace}", self.namespace).replace("{job}", self.job);
        let output = self.output.map(|name| format!("{name}/")).unwrap_or_default();
        format!("{filled}{}-{}-{}-{}/{output}", self.run, self.index, self.attempt, self.fence)
    }
}

/// Uploads the files of `manifest` from `directory`, then the manifest. Returns the URI of the prefix, ending in a slash.
///
/// On failure there is no manifest and no unfinished multipart upload; files that were already there stay, below a prefix that no other
/// attempt uses.
pub async fn to_s3(
    config: &FetchConfig,
    destination: &Destination<'_>,
    directory: OwnedFd,
    manifest: &Manifest,
) -> Result<String, Failure> {
    let s3 = S3::new(config.limits.clone(), config.addresses.clone(), config.s3.clone());
    over(&s3, destination, directory, manifest).await
}

/// As `to_s3`, over connections that are there.
pub(crate) async fn over(s3: &S3, destination: &Destination<'_>, directory: OwnedFd, manifest: &Manifest) -> Result<String, Failure> {
    if manifest.files.iter().any(|file| file.path == MANIFEST) {
        let message = format!("output {MANIFEST:?}: the manifest is published under this name; call the file something else");
        return Err(Failure::new(Reason::OutputUnsafe, message));
    }
    let publish = destination.publish;
    let bucket = s3.bucket(&publish.bucket, publish.region.as_deref(), publish.endpoint.as_deref())?;
    let prefix = destination.prefix();
    check_keys(&prefix, manifest)?;
    let (limits, limit) = (s3.limits(), s3.limits().total_timeout);
    let all = upload_all(limits, &bucket, &prefix, directory, manifest).boxed();
    tokio::time::timeout(limit, all).await.unwrap_or_else(|_| {
        Err(Failure::new(Reason::PublishFailed, format!("{}: not uploaded within {} s", bucket.called(&prefix), limit.as_secs())))
    })?;
    Ok(format!("s3://{}/{prefix}", bucket.name))
}

/// S3 keys have at most 1024 bytes.
fn check_keys(prefix: &str, manifest: &Manifest) -> Result<(), Failure> {
    match manifest.files.iter().find(|file| prefix.len() + file.path.len() > 1024) {
        None => Ok(()),
        Some(file) => Err(Failure::new(
            Reason::OutputUnsafe,
            format!("output {:?}: with its prefix longer than the 1024 bytes of an S3 key", file.path),
        )),
    }
}

async fn upload_all<'a>(
    limits: &'a FetchLimits,
    bucket: &'a Bucket,
    prefix: &str,
    directory: OwnedFd,
    manifest: &'a Manifest,
) -> Result<(), Failure> {
    let directory = Arc::new(directory);
    let upload =
        |file: &'a ManifestFile| Upload { limits, bucket, key: format!("{prefix}{}", file.path), file, directory: directory.clone() };
    let (small, large): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|file| file.size_bytes <= PART_BYTES);
    let small: Vec<_> = small.into_iter().map(|file| whole(upload(file)).boxed()).collect();
    stream::iter(small).buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await?;
    for file in large {
        upload(file).in_parts().await?;
    }
    let (key, json) = (format!("{prefix}{MANIFEST}"), manifest.to_json());
    retrying(|| put_manifest(limits, bucket, &key, &json)).await
}

async fn whole(upload: Upload<'_>) -> Result<(), Failure> {
    upload.whole().await
}

/// Creates the manifest, which must not be there yet. One with the same bytes is ours: its first answer was lost.
async fn put_manifest(limits: &FetchLimits, bucket: &Bucket, key: &str, json: &[u8]) -> Result<(), Setback> {
    let what = bucket.called(key);
    let request = bucket
        .client
        .put_object()
        .bucket(&bucket.name)
        .key(key)
        .if_none_match("*")
        .content_type("application/json")
        .checksum_sha256(STANDARD.encode(digest_of(json).as_bytes()))
        .body(ByteStream::from(json.to_vec()))
        .send();
    let Err(error) = in_time(limits, json.len() as u64, &what, request).await? else { return Ok(()) };
    match error.raw_response().map(|response| response.status().as_u16()) {
        Some(412) if is_there(limits, bucket, key, json).await? => Ok(()),
        Some(412) => Err(Setback::last(Reason::PublishFailed, format!("{what}: another manifest is there already; nothing was replaced"))),
        Some(501) => Err(Setback::last(
            Reason::PublishFailed,
            format!("{what}: this store cannot create an object only if it is not there (If-None-Match); upgrade it"),
        )),
        _ => Err(refused(bucket, key, "s3:PutObject", &error)),
    }
}

async fn is_there(limits: &FetchLimits, bucket: &Bucket, key: &str, json: &[u8]) -> Result<bool, Setback> {
    let request = bucket.client.get_object().bucket(&bucket.name).key(key).send();
    let found = in_time(limits, 0, key, request).await?.map_err(|error| refused(bucket, key, "s3:GetObject", &error))?;
    if found.content_length() != i64::try_from(json.len()).ok() {
        return Ok(false);
    }
    let body = in_time(limits, json.len() as u64, key, found.body.collect()).await?;
    Ok(body.is_ok_and(|body| body.into_bytes() == json))
}

#[cfg(test)]
mod tests;
