//! Where bytes come from: one struct per source kind, and the exactly-one-of view that code matches on.
//!
//! Fetches nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes behind an `http` or `https` URL.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// The URL. Redirects are followed at most five times, each hop checked again.
    pub url: String,
}

/// One object, or every object under a prefix, in an S3 bucket.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Source {
    pub bucket: String,
    /// The object's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Every object whose key begins with this; the part after it is the file's path. Inputs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of a store that is not AWS; path-style addressing is used with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// A file or directory in IPFS.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpfsSource {
    /// The CID, version 0 or 1.
    pub cid: String,
    /// Path below the CID, `/`-separated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What the spec names as the source of a module or an input: exactly one of them, as CEL enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Http(&'a HttpSource),
    S3(&'a S3Source),
    Ipfs(&'a IpfsSource),
    /// Base64 of the bytes themselves.
    Inline(&'a str),
}

impl<'a> Source<'a> {
    /// The one source that is set; `None` when there is none or more than one.
    pub fn exactly_one(
        http: Option<&'a HttpSource>,
        s3: Option<&'a S3Source>,
        ipfs: Option<&'a IpfsSource>,
        inline: Option<&'a str>,
    ) -> Option<Self> {
        let mut set = [http.map(Self::Http), s3.map(Self::S3), ipfs.map(Self::Ipfs), inline.map(Self::Inline)].into_iter().flatten();
        let only = set.next()?;
        set.next().is_none().then_some(only)
    }
}
