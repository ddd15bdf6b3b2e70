use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::{Blob, FinishError, Store, digest_of};

const ROOMY: u64 = 1 << 30;

fn keep(store: &Store, bytes: &[u8]) -> Blob {
    let mut writer = store.writer().unwrap();
    writer.write(bytes).unwrap();
    writer.finish().unwrap()
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn used_at(path: &Path, seconds_ago: u64) {
    let times = fs::FileTimes::new().set_accessed(SystemTime::now() - Duration::from_secs(seconds_ago));
    fs::File::open(path).unwrap().set_times(times).unwrap();
}

#[test]
fn what_was_written_is_found_by_its_digest_and_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("made");
    let store = Store::open(&directory, ROOMY).unwrap();
    let written = keep(&store, b"hello");
    let found = store.get(&digest_of(b"hello")).unwrap();
    assert_eq!(found, written);
    assert_eq!((found.size_bytes(), fs::read(found.path()).unwrap()), (5, b"hello".to_vec()));
    assert_eq!(fs::metadata(found.path()).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(names_in(&directory.join("blobs")), [digest_of(b"hello").hex()]);
    assert_eq!(store.get(&digest_of(b"other")), None);
}

#[test]
fn the_empty_file_is_a_blob_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    keep(&store, b"");
    assert_eq!(store.get(&digest_of(b"")).unwrap().size_bytes(), 0);
}

#[test]
fn bytes_that_do_not_match_are_never_visible() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write(b"evil").unwrap();
    let Err(FinishError::Mismatch { expected, got }) = writer.finish_as(&digest_of(b"good")) else { panic!("must not match") };
    assert_eq!((expected, got), (digest_of(b"good"), digest_of(b"evil")));
    assert_eq!(names_in(&directory.path().join("blobs")), Vec::<String>::new());
    assert_eq!(names_in(&store.shared.live), ["alive"]);
}

#[test]
fn an_unfinished_writer_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write(b"half").unwrap();
    drop(writer);
    assert_eq!(names_in(&store.shared.live), ["alive"]);
}

#[test]
fn the_least_recently_used_go_first_and_pinned_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), 350).unwrap();
    let pinned = keep(&store, &[1; 100]);
    used_at(pinned.path(), 900);
    for (byte, seconds_ago) in [(2, 300), (3, 600)] {
        used_at(keep(&store, &[byte; 100]).path(), seconds_ago);
    }
    keep(&store, &[4; 100]);
    let here: Vec<_> = (1..=4_u8).filter(|byte| store.get(&digest_of(&[*byte; 100])).is_some()).collect();
    assert_eq!(here, [1, 2, 4]);
}

#[test]
fn a_pin_of_one_process_holds_against_the_eviction_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (Store::open(directory.path(), 150).unwrap(), Store::open(directory.path(), 150).unwrap());
    let pinned = keep(&one, &[1; 100]);
    keep(&other, &[2; 100]);
    assert_eq!(fs::read(pinned.path()).unwrap(), [1; 100]);
    assert_eq!(other.get(&digest_of(&[1; 100])), Some(pinned));
}

#[test]
fn a_pinned_blob_survives_even_the_removal_of_its_entry() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    let pinned = keep(&store, b"bytes");
    fs::remove_file(store.shared.blob_path(&pinned.digest())).unwrap();
    assert_eq!(fs::read(pinned.path()).unwrap(), b"bytes");
}

#[test]
fn a_dropped_blob_is_pinned_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    let blob = keep(&store, b"bytes");
    let clone = store.get(&blob.digest()).unwrap();
    drop(blob);
    assert_eq!(fs::metadata(clone.path()).unwrap().nlink(), 2);
    drop(clone);
    assert_eq!(fs::metadata(store.shared.blob_path(&digest_of(b"bytes"))).unwrap().nlink(), 1);
}

#[test]
fn what_a_dead_process_left_is_swept_and_a_living_one_keeps_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let living = Store::open(directory.path(), ROOMY).unwrap();
    let mut writer = living.writer().unwrap();
    writer.write(b"in flight").unwrap();
    let dead = directory.path().join("live/1-dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("alive"), "").unwrap();
    fs::write(dead.join("new-0"), "half").unwrap();
    let _again = Store::open(directory.path(), ROOMY).unwrap();
    assert!(!dead.exists());
    assert_eq!(writer.finish().unwrap().digest(), digest_of(b"in flight"));
}

#[test]
fn an_entry_from_before_the_boot_is_hashed_again_and_dropped_when_torn() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    for (content, expected) in [("bytes", true), ("byteX", false), ("", false)] {
        let digest = keep(&store, b"bytes").digest();
        let path = store.shared.blob_path(&digest);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, content).unwrap();
        fs::File::open(&path).unwrap().set_times(fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).unwrap();
        assert_eq!(store.get(&digest).is_some(), expected, "{content:?}");
        assert_eq!(path.exists(), expected, "{content:?}");
    }
}

#[test]
fn verify_finds_and_removes_a_damaged_entry() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    let digest = keep(&store, b"bytes").digest();
    assert!(store.verify(&digest).unwrap());
    let path = store.shared.blob_path(&digest);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "byteX").unwrap();
    assert!(!store.verify(&digest).unwrap());
    assert_eq!(store.get(&digest), None);
    assert_eq!(keep(&store, b"bytes").digest(), digest);
    assert!(store.verify(&digest).unwrap());
}

#[test]
fn a_note_is_kept_replaced_and_disbelieved_when_torn() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    assert_eq!(store.note("key"), None);
    store.set_note("key", b"one").unwrap();
    store.set_note("key", b"two").unwrap();
    assert_eq!((store.note("key"), store.note("other")), (Some(b"two".to_vec()), None));
    let path = store.note_path("key");
    let bytes = fs::read(&path).unwrap();
    for torn in [0, 10, 32, bytes.len() - 1] {
        fs::write(&path, &bytes[..torn]).unwrap();
        assert_eq!(store.note("key"), None, "{torn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_worked_on_once_at_a_time_whoever_asks() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [Store::open(directory.path(), ROOMY).unwrap(), Store::open(directory.path(), ROOMY).unwrap()];
    let (at_once, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let (store, at_once, most) = (stores[number % 2].clone(), Arc::clone(&at_once), Arc::clone(&most));
            tokio::spawn(async move {
                let work = async {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    at_once.fetch_sub(1, Ordering::SeqCst);
                };
                store.once("key", work).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert!(stores.iter().all(|store| store.shared.flights.is_empty()));
    assert_eq!(names_in(&directory.path().join("locks")), Vec::<String>::new());
}

#[tokio::test]
async fn other_keys_do_not_wait() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), ROOMY).unwrap();
    assert_eq!(store.once("one", store.once("other", async { 7 })).await, 7);
}

#[test]
fn threads_that_keep_drop_and_evict_the_same_bytes_do_not_hurt_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [Store::open(directory.path(), 400).unwrap(), Store::open(directory.path(), 400).unwrap()];
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = stores[usize::from(thread) % 2].clone();
            scope.spawn(move || {
                for round in 0..100_u8 {
                    let bytes = [(round + thread) % 7; 100];
                    let blob = store.get(&digest_of(&bytes)).unwrap_or_else(|| keep(&store, &bytes));
                    assert_eq!(fs::read(blob.path()).unwrap(), bytes);
                }
            });
        }
    });
}
