use proptest::prelude::*;

use super::{UnsafePath, file_name, safe_path};

#[test]
fn a_path_that_leaves_its_directory_or_cannot_be_printed_is_refused() {
    let long_segment = "x".repeat(256);
    let long = "x/".repeat(2048) + "x";
    for (text, expected) in [
        ("a", Ok(())),
        ("a/b c/é.txt", Ok(())),
        ("...", Ok(())),
        (&*"x".repeat(255), Ok(())),
        ("", Err(UnsafePath::EmptySegment)),
        ("/etc/passwd", Err(UnsafePath::EmptySegment)),
        ("a//b", Err(UnsafePath::EmptySegment)),
        ("a/", Err(UnsafePath::EmptySegment)),
        (".", Err(UnsafePath::DotSegment)),
        ("a/./b", Err(UnsafePath::DotSegment)),
        ("../x", Err(UnsafePath::DotSegment)),
        ("a/../../x", Err(UnsafePath::DotSegment)),
        ("a\0b", Err(UnsafePath::ControlCharacter)),
        ("a\nb", Err(UnsafePath::ControlCharacter)),
        ("a\u{9b}b", Err(UnsafePath::ControlCharacter)),
        ("a\\..\\b", Err(UnsafePath::Backslash)),
        (&long_segment, Err(UnsafePath::LongSegment)),
        (&long, Err(UnsafePath::Long)),
    ] {
        assert_eq!(safe_path(text).map(|_| ()), expected, "{text:?}");
    }
}

#[test]
fn a_file_is_named_by_the_last_segment_if_that_is_safe() {
    for (text, expected) in [
        ("image0.JPG", Some("image0.JPG")),
        ("../../etc/passwd", Some("passwd")),
        ("C:\\dir\\x.txt", Some("x.txt")),
        (" a.txt ", Some("a.txt")),
        ("dir/", None),
        ("..", None),
        ("a\rb", None),
        ("", None),
    ] {
        assert_eq!(file_name(text).as_deref(), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn a_safe_path_joined_to_a_directory_stays_below_it(text in r"[a-z./\\\x00-\x20é]{0,40}") {
        if let Ok(path) = safe_path(&text) {
            let joined = std::path::Path::new("/base").join(path);
            prop_assert!(joined.starts_with("/base"));
            prop_assert!(joined.components().all(|part| !matches!(part, std::path::Component::ParentDir | std::path::Component::CurDir)));
            prop_assert_eq!(joined.components().count(), 2 + path.split('/').count());
        }
    }
}
