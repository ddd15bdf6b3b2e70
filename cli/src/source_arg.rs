//! One argument → one source: `SRC[:PATH]` of an input, and what is run.
//!
//! Looks at the text alone: whether the file or object is there is found out when it is fetched.

use std::path::{Path, PathBuf};

use cid::Cid;
use crds::source::{HttpSource, IpfsSource, OciSource, S3Source};
use url::Url;

#[cfg(test)]
mod tests;

/// Where bytes come from, as a command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceArg {
    /// A file or directory of this machine.
    Local(PathBuf),
    Http(HttpSource),
    S3(S3Source),
    Ipfs(IpfsSource),
    Oci(OciSource),
}

/// `SRC[:PATH]` of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputArg {
    pub(crate) source: SourceArg,
    /// Absolute.
    pub(crate) mount_path: Option<String>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A job in YAML or JSON.
    Document(PathBuf),
    /// The job on this command's stdin.
    DocumentOnStdin,
    Module(SourceArg),
}

/// A job document by its extension (or `-`), else a module.
pub(crate) fn parse_target(text: &str) -> Result<Target, String> {
    if text == "-" {
        return Ok(Target::DocumentOnStdin);
    }
    let is_document = has_document_extension(text);
    match parse_source(text)? {
        SourceArg::Local(path) if is_document => Ok(Target::Document(path)),
        SourceArg::Http(_) if is_document => {
            Err("job documents are read from files: save it first, or pipe it in with - (curl URL | wasmjob run -)".to_owned())
        }
        SourceArg::S3(S3Source { key: None, .. }) => Err("a module is one object: write s3://BUCKET/KEY without a / at the end".to_owned()),
        source => Ok(Target::Module(source)),
    }
}

/// `SRC` or `SRC:PATH`. PATH begins with a slash; only after a CID may it be relative. Every other colon belongs to SRC.
pub(crate) fn parse_input(text: &str) -> Result<InputArg, String> {
    let (source, path) = split_path(text);
    Ok(InputArg { source: parse_source(source)?, mount_path: path.map(absolute) })
}

/// A mount path in the API's one spelling: `inputs`, `./inputs` and `/inputs/` mean `/inputs`.
pub(crate) fn absolute(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// The last name in a source, without extension, fit for a Kubernetes name: what its input and job are called. Empty where it has none.
pub(crate) fn short_name(source: &SourceArg) -> String {
    match source {
        SourceArg::Local(path) => dns_label(&stem(&path.to_string_lossy())),
        SourceArg::Http(HttpSource { url }) => Url::parse(url).map(|url| dns_label(&stem(url.path()))).unwrap_or_default(),
        SourceArg::S3(S3Source { key, prefix, .. }) => dns_label(&stem(key.as_deref().or(prefix.as_deref()).unwrap_or_default())),
        SourceArg::Ipfs(IpfsSource { path: Some(path), .. }) => dns_label(&stem(path)),
        SourceArg::Oci(source) => dns_label(source.repository_name()),
        // The end of a CID tells it from others; its beginning is the same for nearly all.
        SourceArg::Ipfs(IpfsSource { cid, path: None }) => {
            let start = cid.len().saturating_sub(10);
            dns_label(&format!("cid-{}", cid.get(start..).unwrap_or(cid)))
        }
    }
}

/// Lower-case letters, digits and single dashes between them, at most 50 bytes.
pub(crate) fn dns_label(text: &str) -> String {
    let mut label = String::new();
    for c in text.chars() {
        if label.len() >= 50 {
            break;
        }
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => label.push(c),
            _ if !label.is_empty() && !label.ends_with('-') => label.push('-'),
            _ => {}
        }
    }
    label.trim_end_matches('-').to_owned()
}

fn split_path(text: &str) -> (&str, Option<&str>) {
    let Some((source, path)) = text.rsplit_once(':') else { return (text, None) };
    // Two slashes follow the colon of a scheme, wherever in a URL it stands.
    let is_path = path.starts_with('/') && !path.starts_with("//");
    let is_relative_path_of_cid = !path.is_empty() && !path.starts_with('/') && is_ipfs(source);
    if !source.is_empty() && (is_path || is_relative_path_of_cid) { (source, Some(path)) } else { (text, None) }
}

fn parse_source(text: &str) -> Result<SourceArg, String> {
    if text.is_empty() {
        return Err("name a file, a URL, s3://BUCKET/KEY, ipfs://CID, a CID or oci://IMAGE".to_owned());
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => parse_http(text),
            "s3" => parse_s3(rest),
            "ipfs" => parse_ipfs(rest),
            "oci" => parse_oci(rest),
            "file" => Ok(SourceArg::Local(PathBuf::from(rest))),
            _ => Err(format!("{scheme}:// is no scheme that is fetched: use http, https, s3, ipfs or oci")),
        };
    }
    match text.strip_prefix("/ipfs/") {
        Some(rest) => parse_ipfs(rest),
        None if is_ipfs(text) => parse_ipfs(text),
        None => Ok(SourceArg::Local(PathBuf::from(text))),
    }
}

fn parse_http(text: &str) -> Result<SourceArg, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no user or password in a URL: they would stand in the job's YAML and status".to_owned());
    }
    Ok(SourceArg::Http(HttpSource { url: text.to_owned() }))
}

fn parse_s3(rest: &str) -> Result<SourceArg, String> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/ for all objects under a prefix".to_owned());
    }
    let is_prefix = key.is_empty() || key.ends_with('/');
    let (key, prefix) = if is_prefix { (None, Some(key.to_owned())) } else { (Some(key.to_owned()), None) };
    Ok(SourceArg::S3(S3Source { bucket: bucket.to_owned(), key, prefix, ..S3Source::default() }))
}

fn parse_ipfs(rest: &str) -> Result<SourceArg, String> {
    let (cid, path) = rest.split_once('/').unwrap_or((rest, ""));
    Cid::try_from(cid).map_err(|error| format!("{cid:?} is no CID: {error}"))?;
    let path = path.trim_matches('/');
    Ok(SourceArg::Ipfs(IpfsSource { cid: cid.to_owned(), path: (!path.is_empty()).then(|| path.to_owned()) }))
}

fn parse_oci(image: &str) -> Result<SourceArg, String> {
    if image.is_empty() {
        return Err("write oci://IMAGE, such as oci://ghcr.io/team/prog:1.2".to_owned());
    }
    Ok(SourceArg::Oci(OciSource { image: image.to_owned() }))
}

/// A CID, with or without scheme and path. A file that happens to be called so is written with `./` before it.
fn is_ipfs(text: &str) -> bool {
    let text = text.strip_prefix("ipfs://").or_else(|| text.strip_prefix("/ipfs/")).unwrap_or(text);
    let cid = text.split('/').next().unwrap_or(text);
    Cid::try_from(cid).is_ok()
}

fn has_document_extension(text: &str) -> bool {
    let extension = Path::new(text).extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

/// The last segment of a path, without its last extension.
fn stem(path: &str) -> String {
    let segment = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    match segment.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => segment.to_owned(),
    }
}
