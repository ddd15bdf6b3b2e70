//! One record and its line: eight hex digits of CRC-32, a space, JSON, a newline. Reads and writes no file.

use std::sync::Arc;

use crds::node::AssignmentReport;
use serde::{Deserialize, Serialize};

/// A fence was started or, with a report, has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) fence: String,
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub(super) report: Option<Arc<AssignmentReport>>,
}

/// Longest line that is read: a report is some kilobytes.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Bytes before the JSON.
const CHECKSUM: usize = 9;

// === impl Record ===

impl Record {
    pub(super) fn line(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a record is texts and numbers");
        let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
        line.extend(json);
        line.push(b'\n');
        line
    }

    /// The record of a line with its newline; `None` where a bit of it is not as it was written.
    pub(super) fn of_line(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n")?;
        let (checksum, json) = line.split_at_checked(CHECKSUM)?;
        let written = u32::from_str_radix(std::str::from_utf8(checksum.strip_suffix(b" ")?).ok()?, 16).ok()?;
        (crc32fast::hash(json) == written).then(|| serde_json::from_slice(json).ok()).flatten()
    }
}

/// An optional shared value as the value itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Option<Arc<T>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<T>>, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map(Arc::new))
    }
}
