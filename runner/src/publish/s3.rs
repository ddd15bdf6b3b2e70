//! An output → objects below an S3 prefix, its manifest last: who sees `manifest.json` of an attempt sees everything that it lists.

mod upload;

use std::os::fd::OwnedFd;
use std::path::Path;

use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crds::job::{Encoding, Layout, S3Publish};
use crds::reason::Reason;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use self::upload::{PART_BYTES, PARTS_AT_ONCE, Upload, in_time, refused};
use super::archive::{ARCHIVE, archive};
use super::contents::{Contents, MANIFEST, Part};
use super::manifest::Manifest;
use crate::failure::Failure;
use crate::fetch::retry::{Setback, retrying};
use crate::fetch::s3::{Bucket, S3};
use crate::fetch::{FetchConfig, FetchLimits};
use crate::store::digest_of;

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
        let numbers = [("{run}", self.run), ("{index}", self.index), ("{attempt}", self.attempt)];
        let filled = prefix.replace("{namespace}", self.namespace).replace("{job}", self.job);
        let filled = numbers.iter().fold(filled, |filled, (name, number)| filled.replace(name, &number.to_string()));
        let output = self.output.map(|name| format!("{name}/")).unwrap_or_default();
        match self.layout() {
            Layout::Attempt => format!("{filled}{}-{}-{}-{}/{output}", self.run, self.index, self.attempt, self.fence),
            Layout::Flat => format!("{filled}{output}"),
        }
    }

    fn layout(&self) -> Layout {
        self.publish.layout.unwrap_or_default()
    }
}

/// Uploads the files of `manifest` from `directory`, then the manifest. Returns the URI of the prefix.
///
/// On failure no manifest was written and there is no unfinished multipart upload; files that were already there stay. A prefix of layout
/// `Attempt` is used by no other attempt.
pub async fn to_s3(
    config: &FetchConfig,
    destination: &Destination<'_>,
    directory: OwnedFd,
    manifest: &Manifest,
) -> Result<String, Failure> {
    let s3 = S3::new(config.limits.clone(), config.addresses.clone(), config.s3.clone());
    let contents = Contents::new(directory, manifest.clone(), None)?;
    over(&s3, destination, &contents, &std::env::temp_dir()).await
}

/// What a spec's bucket must be before anything is run for it. Asks nobody.
pub(crate) fn check(s3: &S3, publish: &S3Publish) -> Result<(), Failure> {
    s3.bucket(&publish.bucket, publish.region.as_deref(), publish.endpoint.as_deref(), publish.credentials_secret_ref.as_ref()).map(|_| ())
}

/// As `to_s3`, over connections that are there, with what is beside the files. `work` has room for an archive of them.
pub(crate) async fn over(s3: &S3, destination: &Destination<'_>, contents: &Contents, work: &Path) -> Result<String, Failure> {
    let publish = destination.publish;
    let bucket =
        s3.bucket(&publish.bucket, publish.region.as_deref(), publish.endpoint.as_deref(), publish.credentials_secret_ref.as_ref())?;
    let prefix = destination.prefix();
    let encoding = publish.encoding.unwrap_or_default();
    check_keys(&prefix, contents.manifest(), encoding)?;
    let (limits, limit) = (s3.limits(), s3.limits().total_timeout);
    let all = async {
        match encoding {
            Encoding::Plain => upload_all(limits, &bucket, &prefix, contents.parts()).await?,
            Encoding::TarGz => {
                let packed = archive(work, contents).await?;
                upload_all(limits, &bucket, &prefix, vec![packed.part.clone()]).await?;
            }
        }
        let (key, json) = (format!("{prefix}{MANIFEST}"), contents.manifest().to_json());
        let (key, json, once) = (&key, &json, destination.layout() == Layout::Attempt);
        retrying(|| put_manifest(limits, &bucket, key, json, once)).await
    };
    let all = all.boxed();
    tokio::time::timeout(limit, all).await.unwrap_or_else(|_| {
        Err(Failure::new(Reason::PublishFailed, format!("{}: not uploaded within {} s", bucket.called(&prefix), limit.as_secs())))
    })?;
    Ok(format!("s3://{}/{prefix}", bucket.name))
}

/// S3 keys have at most 1024 bytes.
fn check_keys(prefix: &str, manifest: &Manifest, encoding: Encoding) -> Result<(), Failure> {
    let paths: Vec<&str> = match encoding {
        Encoding::Plain => manifest.files.iter().map(|file| file.path.as_str()).chain([MANIFEST]).collect(),
        Encoding::TarGz => vec![ARCHIVE, MANIFEST],
    };
    match paths.into_iter().find(|path| prefix.len() + path.len() > 1024) {
        None => Ok(()),
        Some(path) => {
            Err(Failure::new(Reason::OutputUnsafe, format!("output {path:?}: with its prefix longer than the 1024 bytes of an S3 key")))
        }
    }
}

async fn upload_all(limits: &FetchLimits, bucket: &Bucket, prefix: &str, parts: Vec<Part>) -> Result<(), Failure> {
    let upload = |part: Part| Upload { limits, bucket, key: format!("{prefix}{}", part.file.path), part };
    let (small, large): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.file.size_bytes <= PART_BYTES);
    let small: Vec<_> = small.into_iter().map(|part| whole(upload(part)).boxed()).collect();
    stream::iter(small).buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await?;
    for part in large {
        upload(part).in_parts().await?;
    }
    Ok(())
}

async fn whole(upload: Upload<'_>) -> Result<(), Failure> {
    upload.whole().await
}

/// Creates the manifest, which where it is put `once` must not be there yet. One with the same bytes is ours: its first answer was lost.
async fn put_manifest(limits: &FetchLimits, bucket: &Bucket, key: &str, json: &[u8], once: bool) -> Result<(), Setback> {
    let what = bucket.called(key);
    let request = bucket
        .client
        .put_object()
        .bucket(&bucket.name)
        .key(key)
        .set_if_none_match(once.then(|| "*".to_owned()))
        .content_type("application/json")
        .checksum_sha256(STANDARD.encode(digest_of(json).as_bytes()))
        .body(ByteStream::from(json.to_vec()))
        .send();
    let Err(error) = in_time(limits, json.len() as u64, &what, request).await? else { return Ok(()) };
    match error.raw_response().map(|response| response.status().as_u16()) {
        Some(412) if once && is_there(limits, bucket, key, json).await? => Ok(()),
        Some(412) if once => {
            Err(Setback::last(Reason::PublishFailed, format!("{what}: another manifest is there already; nothing was replaced")))
        }
        Some(501) if once => Err(Setback::last(
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
