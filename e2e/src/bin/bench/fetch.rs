//! A GiB that arrives, is verified and kept: ours ÷ `curl -o f && sha256sum f`, and what memory that takes. Ours is a process of its own
//! (`alone`), so that its peak is that of fetching and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::presigning::PresigningConfig;
use crds::digest::Digest;
use crds::source::{HttpSource, S3Source, Source};
use e2e::bench::{Figure, Promise, Row, Unit};
use e2e::{Answer, Minio, Server};
use runner::fetch::address::AddressPolicy;
use runner::fetch::s3::S3Access;
use runner::fetch::{FetchConfig, Fetcher, Progress};
use runner::store::Store;

use crate::{measure_all, runtime, timed};

/// First argument of the process that only fetches.
pub(super) const ALONE: &str = "--fetch-alone";
const MEBIBYTE: usize = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;
const BUCKET: &str = "data";
const KEY: &str = "big";

/// One source of the same bytes: how we name it, and how curl does.
struct Origin {
    ours: Vec<String>,
    url: String,
    digest: String,
    folder: PathBuf,
}

pub(super) fn figures(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let runtime = runtime()?;
    let big = folder.join("big");
    let digest = write_big(&big)?;
    let server = Server::start().context("failed to start the HTTP server")?;
    let url = server.answer("/big", Answer::file(&big));
    let minio = runtime.block_on(stocked(&big))?;
    let presigned = runtime.block_on(presigned(&minio))?;
    let keys = minio.keys();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let origin = |ours, url: &str| Origin { ours, url: url.to_owned(), digest: digest.clone(), folder: folder.to_owned() };
    let http = origin(words(&["http", &url]), &url);
    let s3 = origin(words(&["s3", &minio.endpoint(), &keys.access_key, &keys.secret_key]), &presigned);
    measure_all(vec![
        row("1 GiB from local HTTP, verified and kept ÷ `curl -o f && sha256sum f`", &http),
        row("1 GiB from local S3 (MinIO), verified and kept ÷ `curl -o f && sha256sum f`", &s3),
        memory_row("peak memory while fetching 1 GiB from HTTP", &http),
        memory_row("peak memory while fetching 1 GiB from S3", &s3),
    ])
}

fn row<'a>(name: &'static str, origin: &'a Origin) -> Row<'a> {
    Row {
        name,
        unit: Unit::Milliseconds,
        ours: Box::new(|| origin.ours().map(|(took, _)| took)),
        bare: Some(Box::new(|| origin.bare())),
        rounds: 7,
        promise: Promise::Ratio(0.33),
    }
}

fn memory_row<'a>(name: &'static str, origin: &'a Origin) -> Row<'a> {
    Row {
        name,
        unit: Unit::Mebibytes,
        ours: Box::new(|| origin.ours().map(|(_, peak)| peak)),
        bare: None,
        rounds: 3,
        promise: Promise::AtMost(64.0),
    }
}

// === impl Origin ===

impl Origin {
    /// Milliseconds of the process that fetches into an empty store, and the MiB it took at most.
    fn ours(&self) -> anyhow::Result<(f64, f64)> {
        let store = self.quiet_folder()?;
        let own = std::env::current_exe().context("a running program has a path")?;
        let mut command = Command::new(own);
        let (took, said) = timed(command.arg(ALONE).arg(store.path()).arg(&self.digest).args(&self.ours))?;
        Ok((took, said.trim().parse().with_context(|| format!("the fetching process said {said:?}"))?))
    }

    /// A folder on a disk that nothing waits for any more: nobody pays for the GiB of the one before.
    fn quiet_folder(&self) -> anyhow::Result<tempfile::TempDir> {
        rustix::fs::sync();
        tempfile::tempdir_in(&self.folder).context("failed to create a folder")
    }

    /// Milliseconds of what a shell script would do.
    fn bare(&self) -> anyhow::Result<f64> {
        let copies = self.quiet_folder()?;
        let mut command = Command::new("sh");
        command.args(["-c", r#"curl --silent --show-error --fail --output "$1" "$2" && sha256sum "$1""#, "sh"]);
        let (took, said) = timed(command.arg(copies.path().join("copy")).arg(&self.url))?;
        if !self.digest.ends_with(said.split_whitespace().next().unwrap_or("nothing")) {
            bail!("curl brought other bytes: {said}");
        }
        Ok(took)
    }
}

/// A GiB that does not repeat within a range or a buffer, and its digest.
fn write_big(path: &Path) -> anyhow::Result<String> {
    let store = tempfile::tempdir().context("failed to create a folder")?;
    let mut writer = Store::open(store.path(), 2 * GIBIBYTE).context("a store")?.writer().context("a writer")?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = vec![0; MEBIBYTE];
    for _ in 0..GIBIBYTE / MEBIBYTE as u64 {
        for word in piece.chunks_exact_mut(8) {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        writer.write(&piece).context("failed to write")?;
    }
    let blob = writer.finish().context("failed to keep")?;
    std::fs::copy(blob.path(), path).context("failed to copy")?;
    Ok(blob.digest().to_string())
}

async fn stocked(big: &Path) -> anyhow::Result<Minio> {
    let minio = Minio::start().await?;
    minio.create_bucket(BUCKET).await?;
    minio.put_file(BUCKET, KEY, big).await?;
    Ok(minio)
}

/// The object as a URL that needs no keys.
async fn presigned(minio: &Minio) -> anyhow::Result<String> {
    let for_an_hour = PresigningConfig::expires_in(Duration::from_hours(1)).context("an hour is short enough")?;
    let request = minio.client().get_object().bucket(BUCKET).key(KEY).presigned(for_an_hour).await;
    Ok(request.context("failed to sign a URL")?.uri().to_owned())
}

/// The process that only fetches: `STORE DIGEST http URL` or `STORE DIGEST s3 ENDPOINT ACCESS-KEY SECRET-KEY`. Prints its peak in MiB.
pub(super) fn alone(words: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [store, digest, from @ ..] = words.as_slice() else { bail!("{ALONE} STORE DIGEST SOURCE") };
    let digest: Digest = digest.parse().context("a digest")?;
    let store = Store::open(Path::new(store), 2 * GIBIBYTE).context("a store")?;
    let mut config = FetchConfig { addresses: AddressPolicy { allow_private: true, ..AddressPolicy::default() }, ..FetchConfig::default() };
    let (http, s3);
    let source = match from {
        ["http", url] => {
            http = HttpSource { url: (*url).to_owned() };
            Source::Http(&http)
        }
        ["s3", endpoint, access_key, secret_key] => {
            let credentials = SharedCredentialsProvider::new(Credentials::new(*access_key, *secret_key, None, None, "bench"));
            config.s3 =
                S3Access { credentials: Some(credentials), region: None, endpoint: Some((*endpoint).to_owned()), ..S3Access::default() };
            s3 = S3Source { bucket: BUCKET.to_owned(), key: Some(KEY.to_owned()), ..S3Source::default() };
            Source::S3(&s3)
        }
        _ => bail!("{ALONE} knows http URL and s3 ENDPOINT ACCESS-KEY SECRET-KEY"),
    };
    let fetcher = Fetcher::new(config, store).map_err(|failure| anyhow::anyhow!(failure.message))?;
    let arrived = runtime()?.block_on(fetcher.file(source, Some(&digest), 2 * GIBIBYTE, &Progress::default()));
    let arrived = arrived.map_err(|failure| anyhow::anyhow!(failure.message))?;
    if arrived.blob.digest() != digest {
        bail!("the store kept other bytes");
    }
    println!("{}", peak_mebibytes()?);
    Ok(())
}

/// What this process has had in memory at most.
fn peak_mebibytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("failed to read this process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no peak")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().context("the kernel's peak is a number")?;
    Ok(kibibytes / 1024.0)
}
