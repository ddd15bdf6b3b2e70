//! All outputs of one attempt: each collected, then sent where the spec says; and the look at one that is still being written.
//!
//! Does not decide how the attempt ended.

use std::path::Path;

use crds::job::Output;
use crds::report::ResultReport;

use super::manifest::Manifest;
use super::s3::{Destination, to_s3};
use super::{OutputLimits, collect, open};
use crate::failure::Failure;
use crate::fetch::FetchConfig;
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

async fn one(
    config: &FetchConfig,
    identity: &Identity,
    output: &OutputDirectory,
    one_of_several: bool,
) -> Result<Option<ResultReport>, Failure> {
    let manifest = collect(open(&output.directory)?, output.limits).await?;
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
