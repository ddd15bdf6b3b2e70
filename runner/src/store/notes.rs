//! Small values under a key, each preceded by its SHA-256, so that a torn one reads as absent.

use std::fs;
use std::path::Path;

use super::{Error, digest_of, touch};

pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let (digest, value) = bytes.split_first_chunk::<32>()?;
    (digest_of(value).as_bytes() == digest).then(|| {
        touch(path);
        value.to_vec()
    })
}

/// Writes through `temporary`. Returns the bytes that the store grew by, at most.
pub(super) fn write(temporary: &Path, path: &Path, value: &[u8]) -> Result<u64, Error> {
    let mut bytes = digest_of(value).as_bytes().to_vec();
    bytes.extend_from_slice(value);
    fs::write(temporary, &bytes).map_err(|e| Error::new("write", temporary, e))?;
    fs::rename(temporary, path).map_err(|e| Error::new("name", path, e))?;
    Ok(bytes.len() as u64)
}
