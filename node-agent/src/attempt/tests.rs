use super::{WASMTIME, only_index};

/// What status tells must be what the workspace is built with.
#[test]
fn the_version_of_wasmtime_is_the_locked_one() {
    let lock = include_str!("../../../Cargo.lock");
    assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"\n")), "change WASMTIME");
}

#[test]
fn chunks_are_refused() {
    for (indexes, expected) in [("0", Some(0)), ("17", Some(17)), ("0-9", None), ("1,2", None), ("", None)] {
        assert_eq!(only_index(indexes).ok(), expected, "{indexes:?}");
    }
}
