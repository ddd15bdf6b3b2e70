//! What status says of an attempt's results: where each is, within bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LISTED, signed};
use crate::digest::Digest;
use crate::report::{Report, ResultReport};
use crate::text;

/// The longest URI in a status, in bytes.
const URI_BYTES: usize = 1200;
/// Other places than the first that a status names, in bytes together; and for one output.
const MORE_URI_BYTES: usize = 8 << 10;
const MORE_URIS: usize = 3;

/// An output that holds files or was published.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultStatus {
    /// Name of the output.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Where its files were published, such as s3://bucket/prefix/. Absent where they are only kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1200))]
    pub uri: Option<String>,
    /// The other places where they were published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), inner(length(max = 1200)))]
    pub more_uris: Vec<String>,
    /// Node that keeps the files, which are published nowhere: as long as its agent's pod lives and has room for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub kept_on: Option<String>,
    /// Bytes of its files together.
    pub size_bytes: i64,
    /// How many files.
    pub files: i64,
    /// SHA-256 of its manifest, the list of its files (where they were published, of stdout, stderr and exitCode too) with their sizes and
    /// digests: equal digests, equal files.
    pub digest: Digest,
}

// === impl ResultStatus ===

impl ResultStatus {
    /// What the runner said of it.
    pub(crate) fn report(&self) -> ResultReport {
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        ResultReport {
            name: self.name.clone(),
            uri: self.uri.clone(),
            more_uris: self.more_uris.clone(),
            size_bytes: unsigned(self.size_bytes),
            files: unsigned(self.files),
            digest: self.digest,
        }
    }
}

/// The results of an attempt; those that are published nowhere are kept on its node, where it has one.
pub(crate) fn results(report: &Report, node_name: Option<&str>) -> Vec<ResultStatus> {
    let mut left = MORE_URI_BYTES;
    report.results.iter().take(LISTED).map(|one| result(one, node_name, &mut left)).collect()
}

/// `left` is how many bytes of URIs may still be told.
fn result(result: &ResultReport, node_name: Option<&str>, left: &mut usize) -> ResultStatus {
    let mut more_uris: Vec<String> = Vec::new();
    for uri in result.more_uris.iter().take(MORE_URIS) {
        let uri = text::head(uri, URI_BYTES);
        if uri.len() <= *left {
            *left -= uri.len();
            more_uris.push(uri);
        }
    }
    ResultStatus {
        name: text::head(&result.name, 63),
        uri: result.uri.as_deref().map(|uri| text::head(uri, URI_BYTES)),
        more_uris,
        kept_on: node_name.filter(|_| result.uri.is_none()).map(str::to_owned),
        size_bytes: signed(result.size_bytes),
        files: signed(result.files),
        digest: result.digest,
    }
}
