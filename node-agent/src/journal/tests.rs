use std::fs;
use std::path::Path;

use crds::node::{AssignmentReport, EndedReport, ReportStage};
use crds::reason::Reason;
use jiff::Timestamp;
use proptest::prelude::*;

use super::file::JournalFile;
use super::record::Record;
use super::{BOOT, Journal, KEPT, NotWritten, Past};

fn report(fence: &str, message: &str) -> AssignmentReport {
    let ended = EndedReport::without_guest(Reason::GuestExit, message, Timestamp::UNIX_EPOCH);
    AssignmentReport { fence: fence.to_owned(), stage: ReportStage::Ended, start_time: None, ended: Some(ended) }
}

fn record(fence: &str, message: Option<&str>) -> Record {
    Record { fence: fence.to_owned(), id: format!("id-{fence}"), report: message.map(|message| report(fence, message).into()) }
}

/// Started a, b and c; a has ended. The bytes, and where each record ends.
fn written() -> (Vec<u8>, Vec<usize>) {
    let records = [record("a", None), record("b", None), record("a", Some("exit 3")), record("c", None)];
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for record in records {
        bytes.extend(record.line());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// A journal that was written since this machine started.
fn left(directory: &Path, journal: Vec<u8>) {
    fs::write(directory.join("journal"), journal).expect("a disk");
    fs::copy(BOOT, directory.join("journal.boot")).expect("a disk, and a system that tells its boot");
}

/// What is known of a, b, c and of a fence that never was.
fn known(directory: &Path) -> [Past; 4] {
    let journal = Journal::open(directory).expect("it opens whatever is in it");
    ["a", "b", "c", "never"].map(|fence| journal.past(fence))
}

fn ended(message: &str) -> Past {
    Past::Ended(Box::new(report("a", message)))
}

#[test]
fn what_was_written_is_known_after_a_restart() {
    let directory = tempfile::tempdir().expect("a folder");
    let unknown = || Past::Unknown;
    assert_eq!(known(directory.path()), [unknown(), unknown(), unknown(), unknown()], "there is no journal");
    left(directory.path(), written().0);
    assert_eq!(known(directory.path()), [ended("exit 3"), Past::Started, Past::Started, Past::NotStarted]);
}

#[tokio::test]
async fn what_another_boot_left_is_not_all_there_was() {
    let directory = tempfile::tempdir().expect("a folder");
    left(directory.path(), written().0);
    fs::write(directory.path().join("journal.boot"), "another\n").expect("a disk");
    assert_eq!(known(directory.path()), [ended("exit 3"), Past::Started, Past::Started, Past::Unknown]);
    assert_eq!(known(directory.path())[3], Past::Unknown, "a restart before its first read changes nothing");
    let journal = Journal::open(directory.path()).expect("it opens");
    journal.completed();
    journal.started("id", "d").await.expect("a disk, which has taken the rest before");
    assert_eq!(known(directory.path())[3], Past::NotStarted);
}

#[test]
fn a_lost_record_in_the_middle_makes_the_journal_tell_less_and_never_more() {
    let directory = tempfile::tempdir().expect("a folder");
    let (mut bytes, ends) = written();
    bytes[ends[1] + 20] ^= 1;
    left(directory.path(), bytes);
    for _ in 0..2 {
        assert_eq!(known(directory.path()), [Past::Started, Past::Started, Past::Unknown, Past::Unknown]);
    }
}

#[test]
fn a_journal_that_cannot_be_read_counts_as_none() {
    let directory = tempfile::tempdir().expect("a folder");
    fs::create_dir(directory.path().join("journal")).expect("a folder");
    assert_eq!(known(directory.path())[0], Past::Unknown);
}

proptest! {
    /// Torn at any byte, and with anything after it that a disk may leave: whole records count, nothing else does.
    #[test]
    fn a_torn_end_is_dropped(cut in 0_usize..1200, garbage in proptest::collection::vec(any::<u8>(), 0..40)) {
        let directory = tempfile::tempdir().expect("a folder");
        let (bytes, ends) = written();
        let cut = cut % (bytes.len() + 1);
        let torn: Vec<u8> = bytes[..cut].iter().copied().chain(garbage).collect();
        // What a disk leaves may by chance be just what was cut off.
        let whole = ends.iter().take_while(|end| torn.get(..**end) == Some(&bytes[..**end])).count();
        left(directory.path(), torn);
        let at = |from: usize, past: Past| if whole >= from { past } else { Past::NotStarted };
        let a = if whole >= 3 { ended("exit 3") } else { at(1, Past::Started) };
        prop_assert_eq!(known(directory.path()), [a, at(2, Past::Started), at(4, Past::Started), Past::NotStarted]);
    }
}

#[tokio::test]
async fn endings_are_answered_before_and_after_they_are_on_disk() {
    let directory = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(directory.path()).expect("a folder");
    journal.started("id", "a").await.expect("a disk");
    assert_eq!((journal.past("a"), journal.has_ended("a")), (Past::Started, false));
    journal.ended("id", &report("a", "first"));
    assert_eq!((journal.past("a"), journal.has_ended("a")), (ended("first"), true));
    // The next flush comes after it.
    journal.started("id", "b").await.expect("a disk");
    assert_eq!(journal.past("a"), ended("first"));
    assert_eq!(known(directory.path())[0], ended("first"));
}

#[tokio::test]
async fn the_oldest_endings_go_and_so_do_their_bytes() {
    let directory = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(directory.path()).expect("a folder");
    let mut long = report("", &"x".repeat(600));
    for number in 0..4 * KEPT {
        long.fence = number.to_string();
        journal.ended("id", &long);
    }
    journal.started("id", "last").await.expect("a disk");
    journal.started("id", "last of all").await.expect("a disk, and the compaction before it");
    assert!(!journal.has_ended("0") && journal.has_ended(&(3 * KEPT).to_string()));
    let length = fs::metadata(directory.path().join("journal")).expect("it is there").len();
    // Twice what counts and a little; uncompacted it would be four times.
    assert!(length < 3 * (KEPT as u64) * 900, "{length} bytes");
    drop(journal);
    let reopened = Journal::open(directory.path()).expect("a folder");
    assert!(!reopened.has_ended("0") && reopened.has_ended(&(4 * KEPT - 1).to_string()));
    assert_eq!(reopened.past("last"), Past::Started);
}

#[test]
fn a_disk_that_takes_nothing_is_told() {
    assert_eq!(NotWritten.to_string(), "failed to write the journal");
    let mut file = JournalFile::create(Path::new("/dev/full")).expect("it opens");
    assert!(file.append([record("a", None)].iter()).is_err());
}
