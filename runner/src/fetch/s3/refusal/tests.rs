use crds::reason::Reason;

use super::super::S3;
use super::super::S3Access;
use super::{Setback, answered};
use crate::fetch::FetchLimits;
use crate::fetch::address::AddressPolicy;

#[test]
fn a_refusal_is_named_by_its_cause_and_says_what_to_do() {
    let s3 = S3::new(FetchLimits::default(), AddressPolicy::default(), S3Access::default());
    let bucket = s3.bucket("results", None, None, None).unwrap();
    for (code, status, reason, again, says) in [
        (Some("NoSuchKey"), 404, Reason::FetchNotFound, false, "s3://results/k: NoSuchKey"),
        (Some("NoSuchBucket"), 404, Reason::FetchNotFound, false, "check bucket"),
        (None, 404, Reason::FetchNotFound, false, "answered 404"),
        (Some("AccessDenied"), 403, Reason::CredentialDenied, false, "AWS_ACCESS_KEY_ID"),
        (Some("InvalidAccessKeyId"), 403, Reason::CredentialDenied, false, "AWS_PROFILE"),
        (None, 403, Reason::CredentialDenied, false, "not signed"),
        (Some("RequestTimeTooSkewed"), 403, Reason::CredentialDenied, false, "clock"),
        (Some("PermanentRedirect"), 301, Reason::FetchFailed, false, "s3.region"),
        (Some("AuthorizationHeaderMalformed"), 400, Reason::FetchFailed, false, "s3.region"),
        (Some("PreconditionFailed"), 412, Reason::FetchFailed, true, "changed"),
        (Some("SlowDown"), 503, Reason::FetchFailed, true, "SlowDown"),
        (None, 500, Reason::FetchFailed, true, "500"),
        (Some("InvalidRequest"), 400, Reason::FetchFailed, false, "InvalidRequest"),
    ] {
        let setback = answered(&bucket.called("k"), &bucket, "s3:GetObject", status, code, None);
        let (failure, passing) = match setback {
            Setback::Final(failure) => (failure, false),
            Setback::Passing(failure, _) => (failure, true),
        };
        assert_eq!((failure.reason, passing), (reason, again), "{code:?} {status}");
        assert!(failure.message.contains(says), "{}", failure.message);
    }
}
