//! Versions of one object that were seen, by which a restored backup shows itself (P15).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The highest version of one object, by its UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    uid: String,
    version: u64,
}

// === impl Seen ===

impl Seen {
    /// Remembers a version, of whichever object it is. Returns whether it is news: a lower version of the same object is not.
    pub(crate) fn saw(&mut self, metadata: &ObjectMeta) -> bool {
        let uid = metadata.uid.as_deref().unwrap_or_default();
        let version = version(metadata);
        if self.uid == uid && version <= self.version {
            return false;
        }
        *self = Self { uid: uid.to_owned(), version };
        true
    }

    /// Whether an answer to a live GET, sent after everything that is remembered was seen, is of the same object and older.
    pub(crate) fn is_older(&self, answer: &ObjectMeta) -> bool {
        answer.uid.as_deref() == Some(self.uid.as_str()) && version(answer) < self.version
    }
}

/// 0 where it is no number: such versions tell nothing about order.
fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
