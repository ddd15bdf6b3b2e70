//! What an S3 store's refusal means: for the status, and for trying again.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use crds::reason::Reason;

use super::Bucket;
use crate::failure::{Failure, chain};
use crate::fetch::address::ResolveError;
use crate::fetch::retry::Setback;

/// What an error of an operation on `key` means. `right` is the permission that the operation needs.
pub(crate) fn setback<E>(bucket: &Bucket, key: &str, right: &str, error: &SdkError<E, HttpResponse>) -> Setback
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let what = bucket.called(key);
    if let Some(refused) = refused_address(error) {
        return Setback::last(Reason::FetchDenied, format!("{what}: {refused}"));
    }
    match error {
        SdkError::TimeoutError(_) => Setback::passing(Reason::FetchTimeout, format!("{what}: no answer in time")),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Setback::passing(Reason::FetchTimeout, format!("{what}: no connection in time"))
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => Setback::passing(Reason::FetchFailed, format!("{what}: {}", chain(error))),
        // Before anything was sent: the credentials could not be had.
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            Setback::last(Reason::CredentialDenied, format!("{what}: {}{}", chain(error), advice(bucket, right)))
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code();
            answered(&what, bucket, right, status, code, service.err().message())
        }
        _ => Setback::passing(Reason::FetchFailed, format!("{what}: {}", chain(error))),
    }
}

/// What an error answer means, by its status and the code in its body; a HEAD has no body.
fn answered(what: &str, bucket: &Bucket, right: &str, status: u16, code: Option<&str>, message: Option<&str>) -> Setback {
    let said = match (code, message) {
        (Some(code), Some(message)) => format!("{what}: {code}: {message}"),
        (Some(code), None) => format!("{what}: {code}"),
        (None, _) => format!("{what}: the store answered {status}"),
    };
    match (code.unwrap_or_default(), status) {
        ("NoSuchKey" | "NoSuchBucket" | "NoSuchVersion" | "NotFound", _) | (_, 404) => {
            Setback::last(Reason::FetchNotFound, format!("{said}; check bucket, key, region and endpoint"))
        }
        ("RequestTimeTooSkewed", _) => Setback::last(Reason::CredentialDenied, format!("{said}; set this machine's clock")),
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) | (_, 301) => {
            Setback::last(Reason::FetchFailed, format!("{said}; set s3.region to the bucket's region"))
        }
        (_, 401 | 403) => Setback::last(Reason::CredentialDenied, format!("{said}{}", advice(bucket, right))),
        ("PreconditionFailed", _) | (_, 412) => changed(what),
        ("SlowDown" | "RequestTimeout" | "InternalError", _) | (_, 408 | 409 | 429 | 500..) => Setback::passing(Reason::FetchFailed, said),
        _ => Setback::last(Reason::FetchFailed, said),
    }
}

/// The object is not the one that was looked at a moment ago.
pub(crate) fn changed(what: &str) -> Setback {
    Setback::passing(Reason::FetchFailed, format!("{what}: the object changed while it was read; name a versionId to read one version"))
}

fn advice(bucket: &Bucket, right: &str) -> String {
    if bucket.foreign {
        "; the request was not signed: the credentials belong to another store's endpoint; name a Secret with this one's in credentialsSecretRef"
            .to_owned()
    } else if bucket.signed {
        format!(
            "; check that the access key (of the Secret or the administrator in a cluster; AWS_ACCESS_KEY_ID, or the profile in AWS_PROFILE) is current and has {right} here"
        )
    } else {
        "; the request was not signed: name a Secret in credentialsSecretRef; on the command line set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE".to_owned()
    }
}

fn refused_address(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ResolveError::Refused(refused)) = error.downcast_ref() {
            return Some(refused.to_string());
        }
        next = error.source();
    }
    None
}

/// The failure of a publish: the same, by its own name where a fetch would say that it failed.
pub(crate) fn of_publish(setback: Setback) -> Setback {
    let renamed = |failure: Failure| match failure.reason {
        Reason::CredentialDenied | Reason::InvalidSpec => failure,
        _ => Failure::new(Reason::PublishFailed, failure.message),
    };
    match setback {
        Setback::Final(failure) => Setback::Final(renamed(failure)),
        Setback::Passing(failure, pause) => Setback::Passing(renamed(failure), pause),
    }
}

#[cfg(test)]
mod tests;
