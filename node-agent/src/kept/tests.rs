use std::fs;
use std::path::{Path, PathBuf};

use crds::digest::Digest;
use crds::node::{AssignedJob, Assignment};
use crds::reason::Reason;
use crds::report::{Durations, Outcome, Report, ResultReport, StreamReport, Usage};
use jiff::Timestamp;

use super::KeptOutputs;

fn entry(uid: &str, fence: &str) -> Assignment {
    let job = AssignedJob {
        namespace: "team".to_owned(),
        name: "job".to_owned(),
        uid: uid.to_owned(),
        run: 2,
        generation: 1,
        spec_hash: String::new(),
    };
    Assignment { job, attempt: 3, fence: fence.to_owned(), indexes: "0".to_owned(), cancel: false, read_as: None }
}

fn place(kept: &KeptOutputs, entry: &Assignment) -> PathBuf {
    kept.place(&entry.job, 0, entry).expect("they are names")
}

/// Of an attempt with these outputs: name, bytes, whether it is published.
fn report(outputs: &[(&str, u64, bool)]) -> Report {
    let result = |(name, size_bytes, published): &(&str, u64, bool)| ResultReport {
        name: (*name).to_owned(),
        uri: published.then(|| "s3://bucket/prefix/".to_owned()),
        more_uris: Vec::new(),
        size_bytes: *size_bytes,
        files: 1,
        digest: Digest::of(b""),
    };
    Report {
        outcome: Outcome { reason: Reason::Completed, exit_code: Some(0), message: String::new() },
        module: None,
        stdout: StreamReport::default(),
        stderr: StreamReport::default(),
        results: outputs.iter().map(result).collect(),
        config_maps: Vec::new(),
        absent_inputs: Vec::new(),
        network_denied: Vec::new(),
        start_time: Timestamp::UNIX_EPOCH,
        finish_time: Timestamp::UNIX_EPOCH,
        durations: Durations::default(),
        usage: Usage::default(),
    }
}

fn fill(directory: &Path, outputs: &[(&str, u64, bool)]) {
    for (name, bytes, _) in outputs {
        fs::create_dir_all(directory.join(name)).expect("a disk");
        fs::write(directory.join(name).join("file"), vec![0; usize::try_from(*bytes).expect("few")]).expect("a disk");
    }
}

/// The files below, as paths.
fn files(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).expect("a folder").flatten() {
            if entry.path().is_dir() { pending.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files.iter().map(|file| file.strip_prefix(root).expect("below").display().to_string()).collect()
}

#[tokio::test]
async fn unpublished_outputs_are_kept_until_there_is_no_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = KeptOutputs::open(folder.path(), 100).expect("a folder");
    let settle = async |uid: &str, outputs: &[(&str, u64, bool)]| {
        let directory = place(&kept, &entry(uid, "f"));
        fill(&directory, outputs);
        let before = std::sync::Arc::strong_count(&kept.kept);
        kept.settle(directory, &report(outputs));
        while std::sync::Arc::strong_count(&kept.kept) > before {
            tokio::task::yield_now().await;
        }
    };
    settle("published", &[("outputs", 50, true)]).await;
    settle("empty", &[]).await;
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    settle("a", &[("one", 40, false), ("two", 50, true)]).await;
    settle("b", &[("one", 40, false)]).await;
    assert_eq!(files(folder.path()), ["a/2-0-3-f/one/file", "b/2-0-3-f/one/file"]);
    settle("c", &[("one", 40, false)]).await;
    assert_eq!(files(folder.path()), ["b/2-0-3-f/one/file", "c/2-0-3-f/one/file"], "the oldest goes");

    // A new process counts what it finds.
    fs::create_dir_all(folder.path().join("d/leftover/nothing")).expect("a disk");
    KeptOutputs::open(folder.path(), 50).expect("a folder");
    assert_eq!(files(folder.path()), ["c/2-0-3-f/one/file"]);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = KeptOutputs::open(folder.path(), 100).expect("a folder");
    for (uid, fence) in [("..", "f"), ("a/b", "f"), ("", "f"), ("a", "../.."), ("a", "\n")] {
        let entry = entry(uid, fence);
        assert!(kept.place(&entry.job, 0, &entry).is_err(), "{uid:?} {fence:?}");
    }
}
