//! Folders go when nobody uses them, and stay while somebody does.

use super::*;

#[test]
fn folders_of_killed_tests_are_swept_and_those_in_use_are_not() {
    let parent = tempfile::tempdir().expect("a folder");
    let make = |name: &str, with_lock: bool| {
        let folder = parent.path().join(name);
        fs::create_dir(&folder).expect("created");
        with_lock.then(|| File::create(lock_of(&folder)).expect("created"))
    };
    let used = make("wasmjob-cluster-used", true).expect("a lock");
    used.lock().expect("locked");
    make("wasmjob-cluster-left", true);
    make("wasmjob-cluster-just-made", false);
    make("of-others", true);
    sweep(parent.path());
    let mut rest: Vec<_> = fs::read_dir(parent.path()).expect("listed").map(|entry| entry.expect("listed").file_name()).collect();
    rest.sort();
    assert_eq!(rest, ["of-others", "wasmjob-cluster-just-made", "wasmjob-cluster-used"]);
}

#[test]
fn secrets_are_readable_by_their_owner_only() {
    use std::os::unix::fs::MetadataExt as _;
    let ground = Ground::new(None).expect("made");
    for name in ["service-accounts.key", "server.key", "admin.kubeconfig"] {
        assert_eq!(fs::metadata(ground.path(name)).expect("there").mode() & 0o777, 0o600, "{name}");
    }
    let folder = ground.folder().to_owned();
    drop(ground);
    assert!(!folder.exists());
}
