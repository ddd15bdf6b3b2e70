use std::fs;

use super::sweep;

#[test]
fn what_dead_processes_left_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    // The parent lives as long as this test; no process has the number 0.
    let parent = std::os::unix::process::parent_id();
    for name in ["0-dead", "nobody", &format!("{parent}-alive"), &format!("{}-before", std::process::id())] {
        fs::create_dir_all(folder.path().join(name).join("below")).expect("a disk");
    }
    sweep(folder.path());
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [format!("{parent}-alive").as_str()]);
}
