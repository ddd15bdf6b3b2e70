//! All outputs of one attempt: each collected, then sent where the spec says; and the look at one that is still being written.
//!
//! Does not decide how the attempt ended.

use std::path::Path;

use crds::job::Output;
use crds::report::ResultReport;

use super::manifest::Manifest;
use super::s3::{Destination, over};
use super::{OutputLimits, collect, open};
use crate::failure::Failure;
use crate::fetch::s3::S3;
use crate::mounts::OutputDirectory;
use crate::task::Identity;

/// Collects every output that holds a file, then publishes them, in the spec's order. Of one that holds none nothing is left.
///
/// # Errors
/// The first output that must not or could not be published, named. Of outputs one of which must not be published none is.
pub(crate) async fn publish(s3: &S3, identity: &Identity, outputs: &[OutputDirectory]) -> Result<Vec<ResultReport>, Failure> {
    let mut collected = Vec::new();
    for output in outputs {
        let manifest = match open(&output.directory) {
            Ok(directory) => collect(directory, output.limits).await,
            Err(failure) => Err(failure),
        };
        let manifest = manifest.map_err(|failure| named(output, &failure))?;
        if !manifest.files.is_empty() {
            collected.push((output, manifest));
        } else if std::fs::remove_dir(&output.directory).is_err() {
            // It holds empty directories.
            discard(std::slice::from_ref(output)).await;
        }
    }
    let mut results = Vec::new();
    for (output, manifest) in &collected {
        let uri = send(s3, identity, output, manifest, outputs.len() > 1).await.map_err(|failure| named(output, &failure))?;
        results.push(report(&output.output, manifest, uri));
    }
    Ok(results)
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

/// Sends one output to every place that its spec names. The first of them.
async fn send(
    s3: &S3,
    identity: &Identity,
    output: &OutputDirectory,
    manifest: &Manifest,
    one_of_several: bool,
) -> Result<Option<String>, Failure> {
    let mut uri = None;
    for publish in &output.output.publish {
        let destination = Destination {
            publish: &publish.s3,
            namespace: &identity.namespace,
            job: &identity.name,
            run: identity.run,
            index: identity.index,
            attempt: identity.attempt,
            fence: &identity.fence,
            output: one_of_several.then_some(output.output.name.as_str()),
        };
        let published = over(s3, &destination, open(&output.directory)?, manifest).await?;
        uri.get_or_insert(published);
    }
    Ok(uri)
}

fn report(output: &Output, manifest: &Manifest, uri: Option<String>) -> ResultReport {
    ResultReport {
        name: output.name.clone(),
        uri,
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
