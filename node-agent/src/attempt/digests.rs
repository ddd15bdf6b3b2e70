//! Where the administrator requires it: the digest of whatever may change at its source. Fetches nothing.
//!
//! IPFS names what it is, a ConfigMap is the cluster's own, and what is inline stands in the spec.

use crds::job::WhatToRun;
use crds::reason::Reason;
use crds::source::Source;
use runner::failure::Failure;

/// Every namespace.
const ALL: &str = "*";

/// # Errors
/// `FetchDenied`: one of these namespaces is the job's, and its spec names a source that may change.
pub(super) fn check(required_in: &[String], namespace: &str, what: &WhatToRun) -> Result<(), Failure> {
    if !required_in.iter().any(|required| required == namespace || required == ALL) {
        return Ok(());
    }
    let module = what.module.source().filter(|_| what.module.digest.is_none());
    let inputs = what.inputs.iter().filter(|input| input.digest.is_none());
    let inputs = inputs.filter_map(|input| Some((format!("spec.inputs[{}]", input.name), input.source()?)));
    let mut sources = module.map(|module| ("spec.module".to_owned(), module)).into_iter().chain(inputs);
    match sources.find_map(|(field, source)| Some((remedy(&field, source)?, field))) {
        None => Ok(()),
        Some((remedy, field)) => Err(Failure::new(
            Reason::FetchDenied,
            format!("{field} may change at its source, and the administrator requires digests in namespace {namespace}: {remedy}"),
        )),
    }
}

/// What to do about a source without a digest, if it may change.
fn remedy(field: &str, source: Source<'_>) -> Option<String> {
    match source {
        Source::S3(s3) if s3.prefix.is_some() => Some(format!("read single objects with {field}.s3.key, each with its digest")),
        Source::Http(_) | Source::S3(_) => Some(format!("set {field}.digest")),
        Source::Oci(oci) if !oci.image.contains('@') => Some(format!("name the image by its digest in {field}.oci.image (NAME@sha256:…)")),
        Source::Oci(_) | Source::Ipfs(_) | Source::ConfigMap(_) | Source::Inline(_) => None,
    }
}

#[cfg(test)]
mod tests;
