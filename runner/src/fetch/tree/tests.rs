use super::{TreeError, UnsafePath, check_paths};

#[test]
fn directories_are_completed_and_paths_in_each_others_way_are_refused() {
    let conflict = |path: &str| Err(TreeError::Conflict(path.to_owned()));
    for (directories, files, expected) in [
        (vec![], vec!["a"], Ok(vec![])),
        (vec!["e/f"], vec!["b/c/d", "a"], Ok(vec!["b", "b/c", "e", "e/f"])),
        (vec!["a", "a"], vec!["a/b"], Ok(vec!["a"])),
        (vec![], vec!["a", "a"], conflict("a")),
        (vec![], vec!["a", "a/b"], conflict("a")),
        (vec!["a"], vec!["a"], conflict("a")),
        (vec!["a/b"], vec!["a"], conflict("a")),
        (vec![], vec!["../x"], Err(TreeError::Unsafe { path: "../x".to_owned(), why: UnsafePath::DotSegment })),
        (vec!["/"], vec![], Err(TreeError::Unsafe { path: "/".to_owned(), why: UnsafePath::EmptySegment })),
    ] {
        let owned = directories.iter().copied().map(str::to_owned).collect();
        let expected = expected.map(|all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(check_paths(owned, files.iter().copied()), expected, "{directories:?} {files:?}");
    }
}
