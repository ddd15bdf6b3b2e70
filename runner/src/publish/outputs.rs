//! All outputs of one attempt: each collected, then sent where the spec says; and the look at one that is still being written.
//!
//! Does not decide how the attempt ended.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crds::job::Output;
use crds::reason::Reason;
use crds::report::ResultReport;

use super::manifest::Manifest;
use super::s3::{Destination, to_s3};
use super::{OutputLimits, collect, open};
use crate::failure::Failure;
use crate::fetch::FetchConfig;
use crate::fetch::path::safe_path;
use crate::mounts::OutputDirectory;
use crate::task::Identity;

/// Collects and publishes every output that holds a file, in the spec's order.
///
/// # Errors
/// The first output that must not or could not be published, named.
pub(crate) async fn publish(config: &FetchConfig, identity: &Identity, outputs: &[OutputDirectory]) -> Result<Vec<ResultReport>, Failure> {
    let mut results = Vec::new();
    for output in outputs {
        let result = one(config, identity, output, outputs.len() > 1).await;
        let result =
            result.map_err(|failure| Failure { message: format!("output {:?}: {}", output.output.name, failure.message), ..failure })?;
        results.extend(result);
    }
    Ok(results)
}

/// Removes everything that the guest wrote, links unfollowed. What cannot be removed is left to whoever owns the directory.
pub(crate) async fn discard(outputs: &[OutputDirectory]) {
    let directories: Vec<_> = outputs.iter().map(|output| output.directory.clone()).collect();
    let removed = tokio::task::spawn_blocking(move || directories.iter().try_for_each(std::fs::remove_dir_all));
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(%error, "failed to remove refused outputs");
    }
}

async fn one(
    config: &FetchConfig,
    identity: &Identity,
    output: &OutputDirectory,
    one_of_several: bool,
) -> Result<Option<ResultReport>, Failure> {
    let manifest = match collect(open(&output.directory)?, output.limits).await {
        Err(failure) if failure.reason == Reason::OutputUnsafe => {
            let removed = remove_unsafe(&output.directory);
            return Err(Failure {
                message: format!("{} ({removed} such entries were removed, the rest is kept)", failure.message),
                ..failure
            });
        }
        collected => collected?,
    };
    if manifest.files.is_empty() {
        return Ok(None);
    }
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
        let published = to_s3(config, &destination, open(&output.directory)?, &manifest).await?;
        uri.get_or_insert(published);
    }
    Ok(Some(report(&output.output, &manifest, uri)))
}

/// Removes what is no plain file of one name, or has a name that is refused, so that what stays can be looked at without harm. How many
/// entries that were. The guest is gone: nothing changes meanwhile.
fn remove_unsafe(directory: &Path) -> u64 {
    let mut removed = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let plain_name = entry.file_name().to_str().is_some_and(|name| safe_path(name).is_ok());
        match std::fs::symlink_metadata(entry.path()) {
            Ok(metadata) if plain_name && metadata.is_dir() => removed += remove_unsafe(&entry.path()),
            Ok(metadata) if plain_name && metadata.is_file() && metadata.nlink() == 1 => {}
            Ok(metadata) if metadata.is_dir() => removed += u64::from(std::fs::remove_dir_all(entry.path()).is_ok()),
            _ => removed += u64::from(std::fs::remove_file(entry.path()).is_ok()),
        }
    }
    removed
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
