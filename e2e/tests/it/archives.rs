//! Archives that the system's own `tar` made, unpacked for a guest; what is refused in them; and patterns that choose among objects.

mod absent;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use crds::digest::Digest;
use crds::reason::Reason;
use crds::source::{S3Source, Source};
use e2e::{Answer, Minio, Server};
use runner::failure::Failure;
use runner::fetch::address::AddressPolicy;
use runner::fetch::s3::S3Access;
use runner::fetch::{FetchConfig, FetchLimits, Fetcher, Progress, Tree};
use runner::store::Store;

use crate::place::{Place, Ran, examples};

fn tar(folder: &Path, flags: &[&str]) -> Vec<u8> {
    let made =
        Command::new("tar").args(["--create", "--file", "-"]).args(flags).arg("-C").arg(folder).arg(".").output().expect("tar starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// A folder with files, one of them under a name that needs an extension.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("d/e")).expect("created");
    for (name, text) in [("a.txt", "a\n"), ("d/e/b.txt", "b\n"), (&long(), "c\n")] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn long() -> String {
    format!("d/{}", "long".repeat(50))
}

/// Serves archives, and the example that prints files.
struct Served {
    server: Server,
    place: Place,
}

impl Served {
    fn new() -> Self {
        let server = Server::start().expect("it starts");
        server.folder("/examples/", &examples());
        Self { server, place: Place::new() }
    }

    /// Prints these files of the archive.
    fn cat(&self, archive: Vec<u8>, unpack: &str, digest: Option<Digest>, files: &[&str]) -> Ran {
        let (module, url) = (self.server.url("/examples/cat/cat.wasm"), self.server.answer("/data", Answer::bytes(archive)));
        let args: Vec<_> = files.iter().map(|file| format!("/inputs/{file}")).collect();
        let digest = digest.map(|digest| format!(", digest: '{digest}'")).unwrap_or_default();
        let document = format!(
            "apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {{name: cat}}\nspec:\n  module: {{http: {{url: '{module}'}}}}\n  \
             args: {args:?}\n  outputs: []\n  inputs:\n  - {{name: data, http: {{url: '{url}'}}, unpack: {unpack}{digest}}}\n"
        );
        self.place.write("job.yaml", document).run(&["run", "job.yaml"])
    }

    fn refused(&self, archive: Vec<u8>, unpack: &str, reason: &str, says: &str) {
        let ran = self.cat(archive, unpack, None, &["a.txt"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(125), ""), "{says}: {ran:?}");
        assert!(ran.stderr.starts_with(&format!("wasmjob: {reason}: spec.inputs[data]")) && ran.stderr.contains(says), "{says}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
}

#[test]
fn a_guest_reads_what_an_archive_holds() {
    let (served, folder, long) = (Served::new(), folder(), long());
    for format in ["gnu", "posix"] {
        let plain = tar(folder.path(), &["--format", format]);
        let zst = zstd::encode_all(plain.as_slice(), 3).expect("compressed");
        for (unpack, archive) in [("Tar", plain.clone()), ("TarGz", gzip(&plain)), ("TarZst", zst)] {
            let digest = Digest::of(&archive);
            let ran = served.cat(archive, unpack, Some(digest), &["a.txt", "d/e/b.txt", &long]);
            assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "a\nb\nc\n", ""), "{format} {unpack}");
        }
    }
}

#[test]
fn an_archive_that_is_not_plain_files_is_refused_and_nothing_of_it_is_seen() {
    let served = Served::new();
    let linked = folder();
    symlink("/etc/passwd", linked.path().join("link")).expect("linked");
    served.refused(tar(linked.path(), &[]), "Tar", "ArchiveUnsafe", "is a link");
    let hard = folder();
    fs::hard_link(hard.path().join("a.txt"), hard.path().join("z.txt")).expect("linked");
    served.refused(tar(hard.path(), &[]), "Tar", "ArchiveUnsafe", "is a link");
    served.refused(
        tar(hard.path(), &["--absolute-names", "--transform", "s,^[.],/etc,"]),
        "Tar",
        "ArchiveUnsafe",
        "begins or ends with a slash",
    );
    let plain = tar(folder().path(), &[]);
    served.refused(plain.clone(), "TarZst", "ArchiveUnsafe", "it is damaged");
    served.refused(plain[..plain.len() / 2 / 512 * 512].to_vec(), "Tar", "ArchiveUnsafe", "it is damaged");
    served.refused(b"<!DOCTYPE html>".to_vec(), "TarGz", "ArchiveUnsafe", "it is damaged");
    let many = tempfile::tempdir().expect("a folder");
    for number in 0..10_001 {
        fs::write(many.path().join(number.to_string()), "").expect("written");
    }
    served.refused(gzip(&tar(many.path(), &[])), "TarGz", "FetchTooLarge", "10000 entries");
    // A digest is of the archive.
    let ran = served.cat(plain, "Tar", Some(Digest::of(b"a\n")), &["a.txt"]);
    assert!(ran.code == Some(125) && ran.stderr.contains("DigestMismatch: spec.inputs[data]"), "{ran:?}");
}

async fn chosen(minio: &Minio, prefix: &str, pattern: &str, limits: FetchLimits) -> Result<Tree, Failure> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path(), 1 << 30).expect("a store");
    let keys = minio.keys();
    let credentials = SharedCredentialsProvider::new(Credentials::new(&keys.access_key, &keys.secret_key, None, None, "test"));
    let config = FetchConfig {
        limits,
        addresses: AddressPolicy { allow_private: true, ..AddressPolicy::default() },
        s3: S3Access { credentials: Some(credentials), endpoint: Some(minio.endpoint()), ..S3Access::default() },
        ..FetchConfig::default()
    };
    let fetcher = Fetcher::new(config, store).expect("a fetcher");
    let (prefix, pattern) = (Some(prefix.to_owned()), Some(pattern.to_owned()));
    let source = S3Source { bucket: "data".to_owned(), prefix, pattern, ..S3Source::default() };
    fetcher.tree(Source::S3(&source), "input", None, &Progress::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_chooses_among_the_objects_under_a_prefix() {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket("data").await.expect("created");
    for key in ["in/", "in/a.csv", "in/b.txt", "in/d/", "in/d/c.csv", "in/d/e/f.csv", "in/bad\\name", "other/g.csv"] {
        minio.put("data", key, if key.ends_with('/') { "" } else { "x" }).await.expect("stored");
    }
    let paths = |tree: Tree| tree.files.into_iter().map(|file| file.path).collect::<Vec<_>>();
    for (prefix, pattern, expected) in [
        ("in/", "*.csv", vec!["a.csv"]),
        ("in/", "**/*.csv", vec!["a.csv", "d/c.csv", "d/e/f.csv"]),
        ("in", "{a,b}.*", vec!["a.csv", "b.txt"]),
        ("in/d/", "*", vec!["c.csv"]),
        ("", "other/*", vec!["other/g.csv"]),
    ] {
        let tree = chosen(&minio, prefix, pattern, FetchLimits::default()).await.expect(pattern);
        assert_eq!(paths(tree), expected, "{prefix} {pattern}");
    }
    // Caps are of what is chosen, within bounds; what is not chosen may be called anything.
    let one = FetchLimits { input_entries: 1, ..FetchLimits::default() };
    assert_eq!(paths(chosen(&minio, "in/", "*.csv", one.clone()).await.expect("one")), ["a.csv"]);
    for (pattern, limits, reason, says) in [
        ("**", FetchLimits::default(), Reason::InvalidSpec, "backslash"),
        ("**/*.csv", one, Reason::FetchTooLarge, "1 objects"),
        ("*.parquet", FetchLimits::default(), Reason::FetchNotFound, "none of the 7 objects matches s3.pattern"),
        ("[a", FetchLimits::default(), Reason::InvalidSpec, "s3.pattern"),
    ] {
        let failure = chosen(&minio, "in/", pattern, limits).await.expect_err(pattern);
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.message.contains(says), "{failure}");
    }
}
