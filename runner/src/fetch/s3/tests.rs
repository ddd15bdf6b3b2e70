use crds::reason::Reason;

use super::client::{Target, check_bucket_name};
use super::listing::{Entry, sort_out};
use crate::fetch::TreeError;
use crate::fetch::address::AddressPolicy;
use crate::fetch::path::UnsafePath;

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
