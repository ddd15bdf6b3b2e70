//! A file that is missing or changed by hand is found.

use super::*;

#[test]
fn missing_and_changed_files_differ_from_their_generator() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| (format!("crds/{name}"), format!("generated: {name}\n"));
    let files = [file("same.yaml"), file("changed.yaml"), file("missing.yaml")];
    for (path, contents) in &files[..2] {
        write(&root.path().join(path), contents).expect("written");
    }
    fs::write(root.path().join("crds/changed.yaml"), "by hand\n").expect("written");
    assert_eq!(differing(root.path(), &files), ["crds/changed.yaml", "crds/missing.yaml"]);
}
