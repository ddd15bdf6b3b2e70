use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use crds::reason::Reason;
use crds::secret::CredentialsSecretRef;

use super::client::{Target, check_bucket_name};
use super::listing::{self, Entry, sort_out};
use super::{S3, S3Access, SecretAccess};
use crate::fetch::address::AddressPolicy;
use crate::fetch::path::UnsafePath;
use crate::fetch::{FetchLimits, TreeError};

#[test]
fn only_names_that_a_bucket_can_have_are_asked_for() {
    for (name, expected) in [
        ("results", true),
        ("a.b-c.9", true),
        (&*"x".repeat(63), true),
        ("ab", false),
        (&*"x".repeat(64), false),
        ("Bucket", false),
        ("a.b/../c", false),
        ("a..b", false),
        ("-ab", false),
        ("ab.", false),
        ("arn:aws:s3:::bucket", false),
        ("evil.com#", false),
        ("a b", false),
    ] {
        assert_eq!(check_bucket_name(name).is_ok(), expected, "{name}");
    }
}

#[test]
fn a_store_is_judged_before_it_is_asked() {
    let laptop = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    for (region, endpoint, policy, expected) in [
        ("eu-central-1", None, AddressPolicy::default(), None),
        ("eu-central-1", Some("https://s3.example.com"), AddressPolicy::default(), None),
        ("us-east-1", Some("http://127.0.0.1:9000"), laptop.clone(), None),
        ("us-east-1", Some("http://127.0.0.1:9000"), AddressPolicy::default(), Some(Reason::FetchDenied)),
        ("us-east-1", Some("http://169.254.169.254"), AddressPolicy::default(), Some(Reason::FetchDenied)),
        ("us-east-1", Some("file:///etc"), laptop.clone(), Some(Reason::FetchDenied)),
        ("us-east-1", Some("https://a:b@s3.example.com"), laptop.clone(), Some(Reason::InvalidSpec)),
        ("us-east-1", Some("https://s3.example.com/?x=y"), laptop.clone(), Some(Reason::InvalidSpec)),
        ("us-east-1", Some("no url"), laptop.clone(), Some(Reason::InvalidSpec)),
        ("us-east-1.evil.com#", None, laptop.clone(), Some(Reason::InvalidSpec)),
        ("", None, laptop, Some(Reason::InvalidSpec)),
    ] {
        let target = Target { region: region.to_owned(), endpoint: endpoint.map(str::to_owned) };
        assert_eq!(target.check(&policy).err().map(|failure| failure.reason), expected, "{target:?}");
    }
}

type SortedOut = (Vec<&'static str>, Vec<&'static str>);
type Row = (&'static str, Vec<(&'static str, u64)>, Result<SortedOut, TreeError>);

#[test]
fn keys_become_paths_below_the_prefix_or_are_refused_by_name() {
    let refused = |path: &str, why| Err(TreeError::Unsafe { path: path.to_owned(), why });
    let table: Vec<Row> = vec![
        ("in/", vec![("in/a", 1), ("in/b/c", 1)], Ok((vec!["b"], vec!["a", "b/c"]))),
        ("in", vec![("in/a", 1), ("inner", 1)], Ok((vec![], vec!["a", "ner"]))),
        ("", vec![("a", 1)], Ok((vec![], vec!["a"]))),
        ("in/", vec![("in/", 0), ("in/d/", 0), ("in/d/e/", 0)], Ok((vec!["d", "d/e"], vec![]))),
        ("in", vec![("in/", 0), ("in/a", 0)], Ok((vec![], vec!["a"]))),
        ("in/", vec![("in/d/", 5)], refused("d/", UnsafePath::EmptySegment)),
        ("in/", vec![("in/../x", 1)], refused("../x", UnsafePath::DotSegment)),
        ("in/", vec![("in//x", 1)], refused("/x", UnsafePath::EmptySegment)),
        ("", vec![("/x", 1)], refused("/x", UnsafePath::EmptySegment)),
        ("in/", vec![("in/a\nb", 1)], refused("a\nb", UnsafePath::ControlCharacter)),
        ("in/", vec![("in/a", 1), ("in/a/b", 1)], Err(TreeError::Conflict("a".to_owned()))),
        ("in/", vec![("in/a", 1), ("in/a/", 0)], Err(TreeError::Conflict("a".to_owned()))),
        ("in/x", vec![("in/x", 1)], refused("", UnsafePath::EmptySegment)),
    ];
    for (prefix, keys, expected) in table {
        let entries = keys.iter().map(|(key, size)| Entry { key: (*key).to_owned(), size_bytes: *size, etag: None }).collect();
        let got = sort_out(prefix, entries);
        let got = got.as_ref().map(|listing| {
            (listing.directories.iter().map(String::as_str).collect(), listing.files.iter().map(|file| file.path.as_str()).collect())
        });
        assert_eq!(got, expected.as_ref().map(|(a, b)| (a.clone(), b.clone())), "{prefix:?} {keys:?}");
    }
}

#[test]
fn a_pattern_chooses_paths_below_the_prefix() {
    for (pattern, matches, others) in [
        ("*.csv", vec!["a.csv", ".csv"], vec!["d/a.csv", "a.CSV", "a.csv.gz", "a.csv/"]),
        ("**/*.csv", vec!["a.csv", "d/a.csv", "d/e/a.csv"], vec!["a.tsv"]),
        ("2026-??/part-[0-9].{csv,tsv}", vec!["2026-01/part-1.csv", "2026-12/part-9.tsv"], vec!["2026-1/part-1.csv", "2026-01/part-x.csv"]),
        ("d/**", vec!["d/a", "d/e/f"], vec!["a", "e/d/a"]),
        ("a\\*", vec!["a*"], vec!["ab"]),
        ("(?i)a", vec!["(xi)a"], vec!["a", "A"]),
    ] {
        let matcher = listing::matcher(pattern).unwrap();
        for path in matches {
            assert!(matcher.is_match(path), "{pattern} {path}");
        }
        for path in others {
            assert!(!matcher.is_match(path), "{pattern} {path}");
        }
    }
    for pattern in ["[a", "{a,b", "a[z-a]", "\\"] {
        let failure = listing::matcher(pattern).unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidSpec, "{failure}");
        assert!(failure.message.contains("**/*.csv"), "{failure}");
    }
}

proptest::proptest! {
    #[test]
    fn any_pattern_is_read_or_refused(pattern in ".{0,40}", path in ".{0,40}") {
        if let Ok(matcher) = listing::matcher(&pattern) {
            let _ = matcher.is_match(&path);
        }
    }
}

/// What belongs to one store is never shown to another.
#[test]
fn credentials_sign_for_the_store_that_they_belong_to() {
    const OWN: &str = "https://minio.example.com:9000";
    const OTHER: &str = "https://minio.example.com";
    let provider = || SharedCredentialsProvider::new(Credentials::new("A", "S", None, None, "test"));
    let of_secret = |endpoint: Option<&str>| SecretAccess { credentials: provider(), endpoint: endpoint.map(str::to_owned) };
    let access = |endpoint: Option<&str>| S3Access {
        credentials: Some(provider()),
        endpoint: endpoint.map(str::to_owned),
        of_secrets: [("free".to_owned(), of_secret(None)), ("bound".to_owned(), of_secret(Some(OWN)))].into(),
        ..S3Access::default()
    };
    let user = || S3Access { signs_everywhere: true, ..access(None) };
    let rows = [
        // The administrator's: for their own store, however it is written.
        (access(Some(OWN)), None, None, Some((Some(OWN), true, false))),
        (access(Some(OWN)), Some("https://MINIO.example.com:9000/"), None, Some((Some("https://MINIO.example.com:9000/"), true, false))),
        (access(Some(OWN)), Some(OTHER), None, Some((Some(OTHER), false, true))),
        (access(Some(OWN)), Some("http://minio.example.com:9000"), None, Some((Some("http://minio.example.com:9000"), false, true))),
        (
            access(Some(OWN)),
            Some("https://minio.example.com:9000/other"),
            None,
            Some((Some("https://minio.example.com:9000/other"), false, true)),
        ),
        (access(None), None, None, Some((None, true, false))),
        (access(None), Some(OWN), None, Some((Some(OWN), false, true))),
        (S3Access::default(), Some(OWN), None, Some((Some(OWN), false, false))),
        // A Secret's: where the spec says, unless the Secret says where.
        (access(Some(OTHER)), Some(OWN), Some("free"), Some((Some(OWN), true, false))),
        (access(Some(OTHER)), None, Some("free"), Some((None, true, false))),
        (access(Some(OTHER)), None, Some("bound"), Some((Some(OWN), true, false))),
        (access(Some(OTHER)), Some(OTHER), Some("bound"), Some((Some(OTHER), false, true))),
        (access(Some(OTHER)), Some(OTHER), Some("none"), None),
        // The user's own, on his own machine.
        (user(), Some(OTHER), None, Some((Some(OTHER), true, false))),
        (user(), Some(OTHER), Some("none"), Some((Some(OTHER), true, false))),
    ];
    for (access, endpoint, secret, expected) in rows {
        let s3 = S3::new(FetchLimits::default(), AddressPolicy::default(), access);
        let secret = secret.map(|name: &str| CredentialsSecretRef { name: name.to_owned() });
        let reached = s3.used(endpoint, secret.as_ref()).ok();
        let said = reached.map(|used| (used.endpoint, used.credentials.is_some(), used.foreign));
        assert_eq!(said, expected, "{endpoint:?} {secret:?}");
    }
}
