//! What attempts leave in their output directories.

use std::path::{Path, PathBuf};

use crate::place::{NOTHING, Place};

const PREVIEW1: &str = r#"
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "made")"#;

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { [vec![path.clone()], files(&path)].concat() } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_directory_stays_only_where_a_file_is_left_in_it() {
    let makes = |body: &str| format!(r#"(module {PREVIEW1} (func (export "_start") {body}))"#);
    let mkdir = "(if (call $mkdir (i32.const 3) (i32.const 0) (i32.const 4)) (then unreachable))";
    let open = "(if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 64)) (then unreachable))";
    let rows: [(&str, String, &[&str]); 5] = [
        ("nothing", NOTHING.to_owned(), &[]),
        ("traps", makes("unreachable"), &[]),
        ("makes a directory", makes(mkdir), &[]),
        ("makes a file", makes(open), &["", "/outputs", "/outputs/made"]),
        ("makes a file and traps", makes(&format!("{open} unreachable")), &["", "/outputs", "/outputs/made"]),
    ];
    let place = Place::new();
    let runner = place.runner(1, None);
    for (what, guest, expected) in rows {
        let report = runner.run(place.task(what, &guest)).await;
        let directory = place.path("outputs");
        let left: Vec<_> = files(&directory);
        let expected: Vec<_> = expected.iter().map(|below| directory.join(format!("{what}{below}"))).collect();
        assert_eq!(left, expected, "{report:?}");
        let _ = std::fs::remove_dir_all(directory);
    }
}
