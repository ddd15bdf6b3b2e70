use std::path::Path;

use super::*;
use crate::store::Store;

fn what(inputs: &[(&str, Option<&str>)]) -> WhatToRun {
    let inputs: Vec<_> = inputs.iter().map(|(name, path)| serde_json::json!({"name": name, "mountPath": path})).collect();
    serde_json::from_value(serde_json::json!({"module": {}, "inputs": inputs})).expect("a spec")
}

fn tree(store: &Store, files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| {
        let mut writer = store.writer().expect("a writer");
        writer.write(text.as_bytes()).expect("written");
        TreeFile { path: (*path).to_owned(), blob: writer.finish().expect("kept") }
    };
    Tree { directories: Vec::new(), files: files.iter().map(file).collect() }
}

fn guests(preopens: &[Preopen]) -> Vec<(&str, bool)> {
    preopens.iter().map(|preopen| (preopen.guest.as_str(), preopen.writable)).collect()
}

#[test]
fn an_input_below_another_is_seen_in_it() {
    let (root, work) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Store::open(root.path(), 1 << 20).expect("a store");
    let trees = [tree(&store, &[("a.txt", "one")]), tree(&store, &[("b/c.txt", "two")])];
    let preopens = inputs(work.path(), &what(&[("first", None), ("second", None)]), &trees, &Given::default()).expect("built");

    assert_eq!(guests(&preopens), [("/inputs", false)]);
    let read = |path: &str| std::fs::read_to_string(Path::new(&preopens[0].host).join(path)).expect(path);
    assert_eq!((read("a.txt"), read("second/b/c.txt")), ("one".to_owned(), "two".to_owned()));
}

#[test]
fn relative_mount_paths_begin_at_the_root() {
    let (root, work) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Store::open(root.path(), 1 << 20).expect("a store");
    let trees = [tree(&store, &[("x", "1")]), tree(&store, &[("x", "2")])];
    let preopens = inputs(work.path(), &what(&[("a", Some("data")), ("b", Some("/data-2/"))]), &trees, &Given::default()).expect("built");
    assert_eq!(guests(&preopens), [("/data", false), ("/data-2", false)]);
}

#[test]
fn two_files_at_one_place_are_refused_and_neither_is_lost() {
    let (root, work) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Store::open(root.path(), 1 << 20).expect("a store");
    let trees = [tree(&store, &[("second/x", "1")]), tree(&store, &[("x", "2")])];
    let failure = inputs(work.path(), &what(&[("first", None), ("second", None)]), &trees, &Given::default())
        .expect_err("both want /inputs/second/x");
    assert_eq!(failure.reason, Reason::InvalidSpec);
    assert!(failure.message.contains("/inputs/second") && failure.message.contains("mount paths of their own"), "{failure}");
}

#[test]
fn a_guest_cannot_reach_the_store_by_its_link() {
    let (root, work) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Store::open(root.path(), 1 << 20).expect("a store");
    let trees = [tree(&store, &[("a", "kept")])];
    let preopens = inputs(work.path(), &what(&[("only", None)]), &trees, &Given::default()).expect("built");
    let link = Path::new(&preopens[0].host).join("a");
    std::fs::remove_file(&link).expect("the attempt's own name");
    assert_eq!(std::fs::read_to_string(trees[0].files[0].blob.path()).expect("still there"), "kept");
}

/// The store outlives the attempt, and every job of the machine shares it.
#[test]
fn what_a_secret_holds_is_in_the_attempts_directory_alone() {
    let (root, work) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Store::open(root.path(), 1 << 20).expect("a store");
    let trees = [tree(&store, &[("a", "1")]), Tree { directories: Vec::new(), files: Vec::new() }];
    let files = BTreeMap::from([("token".to_owned(), b"hunter2".to_vec().into())]);
    let given = Given { inputs: BTreeMap::from([("second".to_owned(), files)]), ..Given::default() };
    let preopens = inputs(work.path(), &what(&[("first", None), ("second", None)]), &trees, &given).expect("built");
    let path = Path::new(&preopens[0].host).join("second/token");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"hunter2");
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o400);
    let mut pending = vec![root.path().to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
            if entry.path().is_dir() {
                pending.push(entry.path());
            } else {
                assert!(!std::fs::read(entry.path()).expect("a file").windows(7).any(|part| part == b"hunter2"), "{:?}", entry.path());
            }
        }
    }
}
