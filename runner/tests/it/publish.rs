//! Collecting an output that a hostile guest left.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crds::digest::Digest;
use crds::reason::Reason;
use runner::failure::Failure;
use runner::publish::manifest::{Manifest, ManifestFile};
use runner::publish::{OutputLimits, collect, open};
use sha2::{Digest as _, Sha256};

const LIMITS: OutputLimits = OutputLimits { bytes: 1 << 20, entries: 50 };

async fn manifest_of(directory: &Path) -> Result<Manifest, Failure> {
    collect(open(directory)?, LIMITS).await
}

fn file(path: &str, bytes: &[u8]) -> ManifestFile {
    ManifestFile { digest: Digest::from_bytes(Sha256::digest(bytes).into()), path: path.to_owned(), size_bytes: bytes.len() as u64 }
}

#[tokio::test]
async fn plain_files_and_directories_become_a_sorted_manifest() {
    let output = tempfile::tempdir().unwrap();
    fs::create_dir_all(output.path().join("d/e/empty")).unwrap();
    let long = "x".repeat(255);
    for (path, bytes) in [("z.png", "z"), ("d/e/ü  .txt ", "deep"), ("d/0", ""), (long.as_str(), "long name")] {
        fs::write(output.path().join(path), bytes).unwrap();
    }
    let expected = Manifest::new(vec![file("d/0", b""), file("d/e/ü  .txt ", b"deep"), file(&long, b"long name"), file("z.png", b"z")]);
    assert_eq!(manifest_of(output.path()).await, Ok(expected));
}

#[tokio::test]
async fn an_empty_output_is_a_manifest_without_files() {
    let output = tempfile::tempdir().unwrap();
    assert_eq!(manifest_of(output.path()).await, Ok(Manifest::new(Vec::new())));
}

#[tokio::test]
async fn what_is_no_plain_file_refuses_the_output_by_its_path() {
    type Plant = fn(&Path, &Path);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let plants: [(&str, Plant); 12] = [
        ("symbolic link", |at, _| symlink("/etc/passwd", at.join("bad")).unwrap()),
        ("symbolic link", |at, _| symlink("../../secret", at.join("bad")).unwrap()),
        ("symbolic link", |at, outside| symlink(outside, at.join("bad")).unwrap()),
        ("symbolic link", |at, _| symlink("nowhere", at.join("bad")).unwrap()),
        ("FIFO", |at, _| {
            rustix::fs::mknodat(rustix::fs::CWD, at.join("bad"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        }),
        ("socket", |at, _| drop(UnixListener::bind(at.join("bad")).unwrap())),
        ("hard link", |at, outside| fs::hard_link(outside.join("secret"), at.join("bad")).unwrap()),
        ("hard link", |at, _| {
            fs::write(at.join("bad"), "x").unwrap();
            fs::hard_link(at.join("bad"), at.join("bad2")).unwrap();
        }),
        ("control character", |at, _| fs::write(at.join("bad\nname"), "x").unwrap()),
        ("control character", |at, _| fs::write(at.join("bad\x1b[31m"), "x").unwrap()),
        ("not UTF-8", |at, _| fs::write(at.join(OsStr::from_bytes(b"bad\xff")), "x").unwrap()),
        ("backslash", |at, _| fs::write(at.join("bad\\x"), "x").unwrap()),
    ];
    for (what, plant) in plants {
        // On the file system of `outside`, so that hard links work.
        let output = tempfile::tempdir_in(outside.path()).unwrap();
        let directory = output.path().join("sub");
        fs::create_dir(&directory).unwrap();
        plant(&directory, outside.path());
        let failure = manifest_of(output.path()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::OutputUnsafe, "{what}");
        assert!(failure.message.contains(what) && failure.message.contains("bad"), "{what}: {failure}");
        assert!(!failure.message.contains(char::is_control), "{what}: {failure}");
    }
}

#[tokio::test]
async fn an_output_above_its_caps_is_refused_without_being_read() {
    let sparse = tempfile::tempdir().unwrap();
    fs::File::create(sparse.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
    let many = tempfile::tempdir().unwrap();
    (0..=LIMITS.entries).for_each(|number| fs::write(many.path().join(number.to_string()), "").unwrap());
    let together = tempfile::tempdir().unwrap();
    (0..3).for_each(|number| fs::write(together.path().join(number.to_string()), vec![0; 400 << 10]).unwrap());
    let directories = tempfile::tempdir().unwrap();
    fs::create_dir_all(directories.path().join("d/".repeat(60))).unwrap();
    for output in [sparse, many, together, directories] {
        let failure = manifest_of(output.path()).await.unwrap_err();
        assert_eq!(failure.reason, Reason::OutputTooLarge, "{failure}");
        assert!(failure.message.contains("sizeLimit"), "{failure}");
    }
}

#[tokio::test]
async fn many_files_are_hashed_like_one() {
    let output = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..45).map(|number| format!("{number:02}")).collect();
    for name in &files {
        fs::write(output.path().join(name), name.repeat(1000)).unwrap();
    }
    let expected = files.iter().map(|name| file(name, name.repeat(1000).as_bytes())).collect();
    assert_eq!(manifest_of(output.path()).await, Ok(Manifest::new(expected)));
}
