use std::fs;

use super::sweep;

#[test]
fn what_an_earlier_process_left_goes_and_its_folder_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["1-left", "2-left"] {
        fs::create_dir_all(folder.path().join(name).join("below")).expect("a disk");
    }
    sweep(folder.path());
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
    // One that never was is as empty.
    sweep(&folder.path().join("none"));
}
