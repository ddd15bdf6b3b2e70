use std::io::Write as _;
use std::time::Duration;

use super::*;

/// What a guest that writes this leaves: the report, which is the same without a file, and what came through.
async fn passed(cap: u64, writes: Vec<Vec<u8>>) -> (StreamReport, Vec<u8>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let report = reported(Sink::File(file.reopen().unwrap()), None, cap, writes.clone()).await;
    let through = std::fs::read(file.path()).unwrap();
    assert_eq!(reported(Sink::Tail, None, cap, writes.clone()).await, report);
    for sink in [Sink::Tail, Sink::File(file.reopen().unwrap())] {
        let spool = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(reported(sink, Some(spool.reopen().unwrap()), cap, writes.clone()).await, report);
        assert!(std::fs::read(spool.path()).unwrap() == through);
    }
    // A disk that takes nothing changes nothing for the guest.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(reported(Sink::Tail, Some(full), cap, writes).await, report);
    (report, through)
}

async fn reported(sink: Sink, spool: Option<File>, cap: u64, writes: Vec<Vec<u8>>) -> StreamReport {
    let stream = Pipe::open().unwrap().copy(sink, spool, cap).unwrap();
    let mut guest = File::from(stream.guest.try_clone().unwrap());
    let guest_side = std::thread::spawn(move || writes.iter().for_each(|bytes| guest.write_all(bytes).unwrap()));
    let report = tokio::time::timeout(Duration::from_mins(1), async {
        tokio::task::spawn_blocking(|| guest_side.join().unwrap()).await.unwrap();
        stream.finish().await
    });
    report.await.expect("nobody waits for a reader")
}

fn report(tail: &str, bytes: u64, truncated: bool) -> StreamReport {
    StreamReport { tail: tail.to_owned(), bytes, truncated }
}

#[tokio::test]
async fn what_fits_passes_whole() {
    assert_eq!(passed(10, vec![]).await, (report("", 0, false), vec![]));
    assert_eq!(passed(10, vec![b"12345".to_vec(), b"67890".to_vec()]).await, (report("1234567890", 10, false), b"1234567890".to_vec()));
}

#[tokio::test]
async fn a_flood_is_counted_and_dropped_beyond_the_cap() {
    let flood = vec![vec![b'x'; 1 << 20]; 64];
    let (report_of_flood, through) = passed(100_000, flood).await;
    assert_eq!(report_of_flood, report(&"x".repeat(4096), 64 << 20, true));
    assert_eq!(through, vec![b'x'; 100_000]);
    assert_eq!(passed(4, vec![b"12345".to_vec()]).await, (report("1234", 5, true), b"1234".to_vec()));
    assert_eq!(passed(0, vec![b"1".to_vec()]).await, (report("", 1, true), vec![]));
}

#[tokio::test]
async fn the_tail_is_the_last_of_it_and_begins_at_a_character() {
    let text = "ä".repeat(4096);
    let (report, _) = passed(1 << 20, vec![b"a".to_vec(), text.into_bytes()]).await;
    assert_eq!((report.tail, report.bytes), ("ä".repeat(2048), 8193));
    let (report, _) = passed(1 << 20, vec!["ä".repeat(3000).into_bytes(), b"a".to_vec()]).await;
    assert_eq!(report.tail, "ä".repeat(2047) + "a");
    let (report, _) = passed(1 << 20, vec![b"\xff\xfe\0".to_vec()]).await;
    assert_eq!(report.tail, "\u{fffd}\u{fffd}\0");
}

#[tokio::test]
async fn a_guest_whose_reader_left_gets_an_error() {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    drop(reader);
    let stream = Pipe::open().unwrap().copy(Sink::File(File::from(writer)), None, 1 << 20).unwrap();
    let mut guest = File::from(stream.guest.try_clone().unwrap());
    let error = tokio::task::spawn_blocking(move || {
        loop {
            if let Err(error) = guest.write_all(&[b'x'; 1000]) {
                return error.kind();
            }
        }
    });
    assert_eq!(tokio::time::timeout(Duration::from_mins(1), error).await.unwrap().unwrap(), io::ErrorKind::BrokenPipe);
    stream.finish().await;
}
