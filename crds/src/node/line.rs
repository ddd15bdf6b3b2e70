//! Entries and reports as the API server keeps them: each is a string, one line of JSON, in a map by id.
//!
//! With a field of the schema for each of their parts a write of 64 entries and reports cost the API server 56 to 76 ms, as lines it costs
//! 14: `docs/decisions/0007-entries-are-lines.md`. The API server compares and bounds a line and does not look into it; whoever reads one does.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize as _, Deserializer, Serializer};

use super::{Assignment, AssignmentReport, ReportStage};

/// Most characters of an entry: 1024 of indexes, and names.
pub(super) const ENTRY_CHARACTERS: usize = 2048;
/// Most characters of a report: two tails, messages, and 16 KiB of files for ConfigMaps in base64. A larger one is shrunk to how it ended
/// (P13).
pub const REPORT_CHARACTERS: usize = 64 << 10;
/// Before the line of an entry that is to end.
pub const CANCEL: &str = "cancel ";

/// What stands in a map as a line.
pub trait Line: Sized {
    /// The line.
    fn line(&self) -> String;
    /// What a line says.
    ///
    /// # Errors
    /// Nothing that can be used.
    fn read(line: &str) -> Result<Self, serde_json::Error>;
}

pub(super) fn serialize<T: Line, S: Serializer>(all: &BTreeMap<String, T>, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(all.len()))?;
    for (id, one) in all {
        map.serialize_entry(id, &one.line())?;
    }
    map.end()
}

pub(super) fn deserialize<'de, T: Line, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, T>, D::Error> {
    let lines = BTreeMap::<String, String>::deserialize(from)?;
    let read = |(id, line): (String, String)| match T::read(&line) {
        Ok(one) => Ok((id, one)),
        Err(error) => Err(D::Error::custom(format!("{id}: {error}"))),
    };
    lines.into_iter().map(read).collect()
}

/// As JSON. Both kinds have only strings for keys, and no number that JSON does not have.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("what has only such keys and numbers is JSON")
}

// === impl Assignment ===

impl Line for Assignment {
    /// As it was read, so that parts which this version does not know stay; or as it is written.
    fn line(&self) -> String {
        match &self.read_as {
            Some(line) => line.to_string(),
            None if self.cancel => cancelled(&json(self)),
            None => json(self),
        }
    }

    fn read(line: &str) -> Result<Self, serde_json::Error> {
        let entry = line.trim_start_matches(CANCEL);
        Ok(Self { cancel: entry.len() < line.len(), read_as: Some(line.into()), ..serde_json::from_str(entry)? })
    }
}

/// The line of the same entry once it is to end: the only change that the API server lets through (P4).
pub fn cancelled(line: &str) -> String {
    format!("{CANCEL}{line}")
}

// === impl AssignmentReport ===

impl Line for AssignmentReport {
    fn line(&self) -> String {
        json(self)
    }

    /// A line that cannot be read is about no entry: it has no fence. One bad report does not hide the others (P13).
    fn read(line: &str) -> Result<Self, serde_json::Error> {
        Ok(serde_json::from_str(line).unwrap_or_else(|_| Self {
            fence: String::new(),
            stage: ReportStage::Running,
            start_time: None,
            ended: None,
        }))
    }
}
