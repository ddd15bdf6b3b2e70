//! Only the lock says whether something runs.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn files_of_one_that_was_killed_mean_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path().join("cluster")).expect("made");
    let ready = Ready { kubeconfig: "k".into(), lines: vec!["etcd 1".to_owned()] };
    let lock = state.hold().expect("asked").expect("free");
    state.write_id().expect("written");
    state.write_ready(&ready).expect("written");
    fs::create_dir(state.run()).expect("created");
    assert!(state.lives().expect("asked"));
    assert_eq!(state.read_id().expect("read"), i32::try_from(std::process::id()).expect("an id"));

    // It is killed: the kernel gives its lock back, and leaves its files.
    drop(lock);
    let begun = Instant::now();
    // A process that another test is starting has all of our open files until its program begins.
    while state.lives().expect("asked") {
        assert!(begun.elapsed() < Duration::from_mins(1), "nobody holds it");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(state.ready().expect("read"), Some(ready));
    state.clear().expect("cleared");
    state.clear().expect("there is nothing left to clear");
    assert_eq!(state.ready().expect("asked"), None);
    assert!(!state.run().exists());
    assert!(state.read_id().is_err());
}
