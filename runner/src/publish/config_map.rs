//! An output → the keys and values of a ConfigMap, few and small enough to travel in the report. Makes none: that is the operator's.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;

use crds::job::Place;
use crds::reason::Reason;
use crds::report::{ByteString, CONFIG_MAP_BYTES, CONFIG_MAP_KEYS, ConfigMapFiles, NoConfigMap};

use super::contents::{Contents, Part};
use super::{changed, open_file, unread};
use crate::failure::Failure;
use crate::mounts::OutputDirectory;
use crate::store::digest_of;

/// What is kept of stdout and of stderr.
const TAIL_BYTES: u64 = 4 << 10;

/// The files of an output that becomes a ConfigMap; `None` of any other.
///
/// # Errors
/// No ConfigMap could hold them.
pub(crate) async fn files(output: &OutputDirectory, contents: &Contents) -> Result<Option<ConfigMapFiles>, Failure> {
    if !output.output.publish.iter().any(|publish| matches!(publish.place(), Some(Place::ConfigMap(_)))) {
        return Ok(None);
    }
    let (name, parts) = (output.output.name.clone(), contents.parts());
    let read = tokio::task::spawn_blocking(move || read(name, &parts)).await;
    let lost = |_| Err(Failure::new(Reason::PublishFailed, "the thread that reads the output died; this is a defect of ours"));
    read.unwrap_or_else(lost).map(Some)
}

fn read(output: String, parts: &[Part]) -> Result<ConfigMapFiles, Failure> {
    let bytes: u64 = parts.iter().map(kept_bytes).sum();
    // Before anything is read: an output may be large.
    if parts.len() > CONFIG_MAP_KEYS {
        return Err(refused(&NoConfigMap::TooMany { keys: parts.len() }));
    }
    if bytes > CONFIG_MAP_BYTES as u64 {
        return Err(refused(&NoConfigMap::TooLarge { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }));
    }
    let value = |part: &Part| Ok::<_, Failure>((part.file.path.clone(), ByteString(value(part)?)));
    let files = ConfigMapFiles { output, files: parts.iter().map(value).collect::<Result<BTreeMap<_, _>, _>>()? };
    files.check().map_err(|why| refused(&why))?;
    Ok(files)
}

/// Bytes of a part that are kept: of what the guest printed, the end.
fn kept_bytes(part: &Part) -> u64 {
    if part.is_beside { part.file.size_bytes.min(TAIL_BYTES) } else { part.file.size_bytes }
}

fn value(part: &Part) -> Result<Vec<u8>, Failure> {
    let Part { directory, file, .. } = part;
    let kept = kept_bytes(part);
    let mut opened = open_file(directory.as_fd(), &file.path, file.size_bytes)?;
    let mut bytes = Vec::new();
    let read: io::Result<usize> =
        opened.seek(SeekFrom::Start(file.size_bytes - kept)).and_then(|_| opened.take(kept).read_to_end(&mut bytes));
    read.map_err(|error| unread(&file.path, error))?;
    let is_whole = kept == file.size_bytes;
    let is_it = if is_whole { digest_of(&bytes) == file.digest } else { bytes.len() as u64 == kept };
    if is_it { Ok(bytes) } else { Err(changed(&file.path)) }
}

fn refused(why: &NoConfigMap) -> Failure {
    let reason = match why {
        NoConfigMap::TooLarge { .. } | NoConfigMap::TooMany { .. } => Reason::OutputTooLarge,
        NoConfigMap::Key { .. } => Reason::OutputUnsafe,
    };
    Failure::new(reason, why.to_string())
}
