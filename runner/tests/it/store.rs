//! The store shared by processes that die in the middle of their work.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use runner::store::Store;

/// Set in a child of these tests: the directory of the store that it is to die in.
const CHILD: &str = "WASMJOB_TEST_STORE";

#[expect(clippy::disallowed_methods, reason = "how the test tells its child what it is")]
#[test]
fn a_process_killed_while_it_writes_leaves_nothing_behind() {
    if let Some(directory) = std::env::var_os(CHILD) {
        let store = Store::open(directory.as_ref(), 1 << 30).unwrap();
        let mut writer = store.writer().unwrap();
        writer.write(b"half of it").unwrap();
        let mut pinned = store.writer().unwrap();
        pinned.write(b"pinned").unwrap();
        let _pinned = pinned.finish().unwrap();
        println!("\nwriting");
        std::thread::sleep(std::time::Duration::from_hours(1));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let live = || std::fs::read_dir(directory.path().join("live")).unwrap().count();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "store::a_process_killed_while_it_writes_leaves_nothing_behind"])
        .env(CHILD, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "writing"));
    let store = Store::open(directory.path(), 1 << 30).unwrap();
    assert_eq!(live(), 2, "a living process keeps its directory");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(store);
    let _again = Store::open(directory.path(), 1 << 30).unwrap();
    assert_eq!(live(), 1, "a dead one's is swept");
    assert_eq!(std::fs::read_dir(directory.path().join("blobs")).unwrap().count(), 1, "what it had finished stays");
}
