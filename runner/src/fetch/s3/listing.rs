//! What is under a prefix, whole and within the caps before the first byte of it is read.

use crds::reason::Reason;
use globset::{GlobBuilder, GlobMatcher};

use super::object::Found;
use super::refusal::setback;
use super::{Bucket, bad_keys};
use crate::failure::Failure;
use crate::fetch::FetchLimits;
use crate::fetch::body::{Pace, too_large};
use crate::fetch::retry::Setback;
use crate::fetch::tree::check_paths;

/// The objects under a prefix. All paths are safe and none is in another's way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) directories: Vec<String>,
    pub(super) files: Vec<Listed>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: String,
    pub(super) path: String,
    pub(super) found: Found,
}

/// An object as a page of a listing names it.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) size_bytes: u64,
    pub(super) etag: Option<String>,
}

/// Objects that are looked at for each one that may be kept, where a pattern chooses among them.
const LOOKED_AT: u64 = 10;

/// What chooses paths below a prefix.
pub(super) fn matcher(pattern: &str) -> Result<GlobMatcher, Failure> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).empty_alternates(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| Failure::new(Reason::InvalidSpec, format!("s3.pattern: {}; write for example **/*.csv", error.kind())))
}

/// Lists everything under `prefix`, or what of it has a path that matches.
pub(super) async fn list(bucket: &Bucket, prefix: &str, pattern: Option<&GlobMatcher>, limits: &FetchLimits) -> Result<Listing, Setback> {
    let what = bucket.called(prefix);
    let mut entries = Vec::new();
    let (mut count, mut seen, mut bytes) = (0, 0_u64, 0_u64);
    let mut pace = Pace::new(limits);
    let mut listed = bucket.client.list_objects_v2().bucket(&bucket.name).prefix(prefix).into_paginator().send();
    while let Some(answer) = pace.wait(listed.next(), &what).await? {
        let answer = answer.map_err(|error| setback(bucket, prefix, "s3:ListBucket", &error))?;
        count += 1;
        for object in answer.contents.unwrap_or_default() {
            seen += 1;
            let key = object.key.unwrap_or_default();
            // Folders, as consoles make them, are there for what is in them.
            if pattern.is_some_and(|pattern| key.ends_with('/') || !pattern.is_match(below(prefix, &key))) {
                continue;
            }
            let size_bytes = object.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            bytes = bytes.saturating_add(size_bytes);
            entries.push(Entry { key, size_bytes, etag: object.e_tag });
        }
        if bytes > limits.input_bytes {
            return Err(too_large(&what, limits.input_bytes).into());
        }
        // An endless listing of empty pages is too large as well.
        if entries.len() as u64 > limits.input_entries || count > limits.input_entries || seen > limits.input_entries * LOOKED_AT {
            let message = format!("{what}: more than the {} objects that are allowed; choose a longer prefix", limits.input_entries);
            return Err(Setback::last(Reason::FetchTooLarge, message));
        }
    }
    if entries.is_empty() {
        let why = if seen == 0 {
            "no object's key begins with this".to_owned()
        } else {
            format!("none of the {seen} objects matches s3.pattern")
        };
        return Err(Setback::last(Reason::FetchNotFound, format!("{what}: {why}")));
    }
    sort_out(prefix, entries).map_err(|error| bad_keys(&what, &error).into())
}

/// The part of a key after the prefix, without the slash between them.
fn below<'a>(prefix: &str, key: &'a str) -> &'a str {
    let rest = key.strip_prefix(prefix).unwrap_or(key);
    if prefix.is_empty() || prefix.ends_with('/') { rest } else { rest.strip_prefix('/').unwrap_or(rest) }
}

/// Keys become paths: the part after the prefix, without the slash between them. A key that ends in a slash and holds nothing stands for
/// a directory, as consoles make them.
pub(super) fn sort_out(prefix: &str, entries: Vec<Entry>) -> Result<Listing, crate::fetch::TreeError> {
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    for entry in entries {
        let rest = below(prefix, &entry.key);
        match rest.strip_suffix('/') {
            Some(directory) if entry.size_bytes == 0 => directories.push(directory.to_owned()),
            // The prefix itself, as a directory.
            None if rest.is_empty() && entry.size_bytes == 0 && entry.key.ends_with('/') => {}
            _ => files.push(Listed {
                path: rest.to_owned(),
                found: Found { size_bytes: entry.size_bytes, etag: entry.etag, sha256: None },
                key: entry.key,
            }),
        }
    }
    directories.retain(|directory| !directory.is_empty());
    let directories = check_paths(directories, files.iter().map(|file| file.path.as_str()))?;
    Ok(Listing { directories, files })
}
