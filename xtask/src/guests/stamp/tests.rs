use std::fs;

use super::Stamp;

/// A checkout with one source and one built module, and its stamp.
fn checkout() -> (tempfile::TempDir, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("examples/a/src")).unwrap();
    fs::create_dir_all(root.path().join("built")).unwrap();
    fs::write(root.path().join("Cargo.lock"), "").unwrap();
    fs::write(root.path().join("examples/a/src/main.rs"), "fn main() {}").unwrap();
    fs::write(root.path().join("built/a.wasm"), "module").unwrap();
    (root, vec!["a.wasm".to_owned()])
}

fn stamp(root: &tempfile::TempDir) -> Stamp {
    Stamp::of(&root.path().join("examples"), "rustc 1\n", "go1").unwrap()
}

#[test]
fn a_build_is_current_until_a_source_or_a_module_changes() {
    let changes: [(&str, &str, bool); 6] = [
        ("examples/README.md", "words", true),
        ("examples/target/a.rs", "not a source", true),
        ("examples/a/src/main.rs", "fn main() { }", false),
        ("examples/a/src/more.rs", "", false),
        ("Cargo.lock", "newer", false),
        ("built/a.wasm", "changed by hand", false),
    ];
    for (path, text, current) in changes {
        let (root, modules) = checkout();
        let built = root.path().join("built");
        assert!(!stamp(&root).is_current(&built, &modules), "nothing was written yet");
        stamp(&root).write(&built, &modules).unwrap();
        assert!(stamp(&root).is_current(&built, &modules));
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        assert_eq!(stamp(&root).is_current(&built, &modules), current, "{path}");
    }
}

#[test]
fn another_toolchain_is_another_stamp() {
    let (root, modules) = checkout();
    let built = root.path().join("built");
    stamp(&root).write(&built, &modules).unwrap();
    for (packages, go) in [("rustc 2\n", "go1"), ("rustc 1\n", "go2"), ("rustc 1\ng", "o1")] {
        let other = Stamp::of(&root.path().join("examples"), packages, go).unwrap();
        assert!(!other.is_current(&built, &modules), "{packages} {go}");
    }
}
