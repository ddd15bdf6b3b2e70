use bytes::Bytes;
use crds::digest::Digest;
use crds::reason::Reason;

use super::{PIECE, Scatter};
use crate::fetch::Progress;
use crate::store::Store;

/// Bytes of one part, of which a file has several.
const PART: usize = PIECE + 1234;

fn file(parts: usize) -> Vec<u8> {
    (0..parts * PART).map(|at| u8::try_from(at % 251).expect("less than a byte")).collect()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), 1 << 30).expect("a store");
    (folder, store)
}

#[tokio::test]
async fn parts_become_the_file_in_whatever_order_they_come() {
    let (_folder, store) = store();
    for order in [vec![0, 1, 2, 3, 4], vec![4, 3, 2, 1, 0], vec![2, 0, 4, 1, 3], vec![1, 3, 0, 4, 2]] {
        let whole = file(order.len());
        let digest = Digest::of(&whole);
        let progress = Progress::default();
        let scatter = Scatter::start(&store, &progress, "a file").expect("a file begins");
        for part in &order {
            let bytes = Bytes::copy_from_slice(&whole[part * PART..(part + 1) * PART]);
            assert!(scatter.put((part * PART) as u64, bytes).await, "{order:?}");
        }
        let blob = scatter.finish(whole.len() as u64, Some(&digest), "a file").await.expect("it is what was expected");
        assert_eq!(std::fs::read(blob.path()).expect("it can be read"), whole, "{order:?}");
    }
}

#[tokio::test]
async fn what_is_incomplete_or_something_else_is_no_blob() {
    let (_folder, store) = store();
    let whole = file(3);
    for (parts, expected, reason) in [
        (vec![0, 2], Digest::of(&whole), Reason::FetchFailed),
        (vec![1, 2], Digest::of(&whole), Reason::FetchFailed),
        (vec![0, 1, 2], Digest::of(b"another"), Reason::DigestMismatch),
    ] {
        let progress = Progress::default();
        let scatter = Scatter::start(&store, &progress, "a file").expect("a file begins");
        for part in &parts {
            scatter.put((part * PART) as u64, Bytes::copy_from_slice(&whole[part * PART..(part + 1) * PART])).await;
        }
        let failure = scatter.finish(whole.len() as u64, Some(&expected), "a file").await.expect_err("it is not what was expected");
        assert_eq!(failure.reason, reason, "{parts:?}: {failure}");
        assert!(store.get(&expected).is_none(), "{parts:?}");
        assert_eq!(progress.fetched_bytes.load(std::sync::atomic::Ordering::Relaxed), 0, "{parts:?}");
    }
}
