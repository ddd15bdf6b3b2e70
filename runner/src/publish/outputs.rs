//! All outputs of one attempt: each collected, then sent where the spec says; and the look at one that is still being written.
//!
//! Does not decide how the attempt ended.

use std::path::Path;

use crds::job::{Layout, Output, Place, Publish, S3Publish};
use crds::reason::Reason;
use crds::report::{ConfigMapFiles, ResultReport};

use super::beside::BesideFiles;
use super::ipfs::{self, Nodes};
use super::s3::{self, Destination};
use super::{Contents, OutputLimits, collect, config_map, open};
use crate::failure::Failure;
use crate::fetch::Fetcher;
use crate::mounts::OutputDirectory;
use crate::task::Identity;

/// What of an attempt is published, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing<'a> {
    /// The attempt's, with its access to S3.
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) identity: &'a Identity,
    pub(crate) outputs: &'a [OutputDirectory],
    /// Beside the files of each output that is published somewhere.
    pub(crate) beside: Option<&'a BesideFiles>,
    pub(crate) succeeded: bool,
    /// Has room for archives.
    pub(crate) work: &'a Path,
}

/// What became of the outputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) results: Vec<ResultReport>,
    /// For the ConfigMaps that are made of some of them elsewhere.
    pub(crate) config_maps: Vec<ConfigMapFiles>,
}

/// Whether anything is published anywhere.
pub(crate) fn wanted(outputs: &[OutputDirectory]) -> bool {
    outputs.iter().any(|output| !output.output.publish.is_empty())
}

/// Refuses, before anything is run, what could never be published from here. Asks nobody.
pub(crate) fn check(fetcher: &Fetcher, outputs: &[OutputDirectory]) -> Result<(), Failure> {
    for output in outputs {
        for publish in &output.output.publish {
            let checked = match place(publish)? {
                Place::S3(s3) => s3::check(fetcher.s3(), s3),
                Place::Ipfs(_) => ipfs::check(&fetcher.config().ipfs.rpc),
                Place::ConfigMap(_) => Ok(()),
            };
            checked.map_err(|failure| named(output, &failure))?;
        }
    }
    Ok(())
}

/// The API server lets through no other.
fn place(publish: &Publish) -> Result<Place<'_>, Failure> {
    publish.place().ok_or_else(|| Failure::new(Reason::InvalidSpec, "publish: give exactly one of s3, ipfs and configMap"))
}

/// Collects every output that holds a file or is published, then publishes them, in the spec's order. Of one that holds no file nothing is
/// left.
///
/// # Errors
/// The first output that must not or could not be published, named. Of outputs one of which must not be published none is.
pub(crate) async fn publish(publishing: &Publishing<'_>) -> Result<Published, Failure> {
    let mut collected = Vec::new();
    let mut published = Published::default();
    for output in publishing.outputs {
        let contents = contents(output, publishing.beside).await.map_err(|failure| named(output, &failure))?;
        published.config_maps.extend(config_map::files(output, &contents).await.map_err(|failure| named(output, &failure))?);
        collected.push((output, contents));
    }
    for (output, contents) in &collected {
        let uris = send(publishing, output, contents).await.map_err(|failure| named(output, &failure))?;
        let is_empty = contents.manifest().files.is_empty();
        let is_config_map = published.config_maps.iter().any(|map| map.output == output.output.name);
        if !is_empty || !uris.is_empty() || is_config_map {
            published.results.push(report(&output.output, contents, uris));
        }
        if is_empty && std::fs::remove_dir(&output.directory).is_err() {
            // It holds empty directories.
            discard(std::slice::from_ref(*output)).await;
        }
    }
    Ok(published)
}

/// What of an output is to be published or kept.
async fn contents(output: &OutputDirectory, beside: Option<&BesideFiles>) -> Result<Contents, Failure> {
    let manifest = collect(open(&output.directory)?, output.limits).await?;
    let directory = open(&output.directory)?;
    if output.output.publish.is_empty() {
        Ok(Contents::kept(directory, manifest))
    } else {
        Contents::new(directory, manifest, beside.cloned())
    }
}

fn named(output: &OutputDirectory, failure: &Failure) -> Failure {
    Failure::new(failure.reason, format!("output {:?}: {}", output.output.name, failure.message))
}

/// Removes everything that the guest wrote, links unfollowed. What cannot be removed is left to whoever owns the directory.
pub(crate) async fn discard(outputs: &[OutputDirectory]) {
    let directories: Vec<_> = outputs.iter().map(|output| output.directory.clone()).collect();
    let removed = tokio::task::spawn_blocking(move || directories.iter().try_for_each(std::fs::remove_dir_all));
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(%error, "failed to remove refused outputs");
    }
}

/// Sends one output to every place that its spec names, and tells where it is.
async fn send(publishing: &Publishing<'_>, output: &OutputDirectory, contents: &Contents) -> Result<Vec<String>, Failure> {
    let mut uris = Vec::new();
    for publish in &output.output.publish {
        uris.extend(send_to(publishing, output, contents, publish).await?);
    }
    Ok(uris)
}

/// `None`: nothing is sent there.
async fn send_to(
    publishing: &Publishing<'_>,
    output: &OutputDirectory,
    contents: &Contents,
    publish: &Publish,
) -> Result<Option<String>, Failure> {
    match place(publish)? {
        // The last success wins; a failure would replace it.
        Place::S3(s3) if s3.layout == Some(Layout::Flat) && !publishing.succeeded => Ok(None),
        Place::S3(s3) => {
            let destination = destination(publishing, output, s3);
            s3::over(publishing.fetcher.s3(), &destination, contents, publishing.work).await.map(Some)
        }
        Place::Ipfs(_) => {
            let config = publishing.fetcher.config();
            let client = publishing.fetcher.trusted_client()?;
            let nodes = Nodes { urls: &config.ipfs.rpc, client, limits: &config.limits };
            ipfs::publish(&nodes, contents).await.map(Some)
        }
        // Whoever makes it says where it is.
        Place::ConfigMap(_) => Ok(None),
    }
}

fn destination<'a>(publishing: &Publishing<'a>, output: &'a OutputDirectory, s3: &'a S3Publish) -> Destination<'a> {
    let identity = publishing.identity;
    Destination {
        publish: s3,
        namespace: &identity.namespace,
        job: &identity.name,
        run: identity.run,
        index: identity.index,
        attempt: identity.attempt,
        fence: &identity.fence,
        output: (publishing.outputs.len() > 1).then_some(output.output.name.as_str()),
    }
}

fn report(output: &Output, contents: &Contents, uris: Vec<String>) -> ResultReport {
    let manifest = contents.manifest();
    let mut uris = uris.into_iter();
    ResultReport {
        name: output.name.clone(),
        uri: uris.next(),
        more_uris: uris.collect(),
        size_bytes: manifest.size_bytes(),
        files: manifest.files.len() as u64,
        digest: manifest.digest(),
    }
}

/// What of its limits an output exceeds while its guest still runs; `None` while it fits, and where it cannot be looked at, which
/// `collect` will say.
pub(crate) fn exceeds(directory: &Path, limits: OutputLimits) -> Option<String> {
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).ok()?.flatten() {
            // Of the entry itself, not of what a link points to. A file may be gone again.
            let Ok(metadata) = std::fs::symlink_metadata(entry.path()) else { continue };
            entries += 1;
            bytes = bytes.saturating_add(if metadata.is_file() { metadata.len() } else { 0 });
            if entries > limits.entries {
                return Some(format!("holds more than {} files and directories: write fewer, or pack them into one", limits.entries));
            }
            if bytes > limits.bytes {
                return Some(format!("holds more than its sizeLimit of {} bytes: raise it, or write less", limits.bytes));
            }
            if metadata.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    None
}
