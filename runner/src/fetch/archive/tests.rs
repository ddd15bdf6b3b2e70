use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crds::job::Unpack;
use crds::reason::Reason;
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::{FetchLimits, HEADER_BYTES, Limits, MOST_ENTRIES, Refusal, unpack};
use crate::store::Store;

const LIMITS: Limits = Limits { bytes: 16 << 20, entries: MOST_ENTRIES };

/// What came of an archive: directories, and files with their bytes; or the reason and the message.
type Unpacked = Result<(Vec<String>, Vec<(String, Vec<u8>)>), (Reason, String)>;

struct Place {
    store: Store,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { store: Store::open(directory.path(), 1 << 30).unwrap(), _directory: directory }
    }

    fn unpack(&self, archive: &[u8], format: Unpack, limits: Limits) -> Unpacked {
        let mut writer = self.store.writer().unwrap();
        writer.write(archive).unwrap();
        let blob = writer.finish().unwrap();
        let tree = unpack(&self.store, &blob, format, limits, &Arc::default()).map_err(|refusal| {
            let failure = refusal.into_failure();
            (failure.reason, failure.message)
        })?;
        let files = tree.files.into_iter().map(|file| (file.path, fs::read(file.blob.path()).unwrap()));
        Ok((tree.directories, files.collect()))
    }
}

fn tar(archive: &[u8]) -> Unpacked {
    Place::new().unpack(archive, Unpack::Tar, LIMITS)
}

/// A header as it is written, checksum and all.
fn header(kind: u8, name: &[u8], size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// One entry: header, contents, padding.
fn entry(kind: u8, name: &str, contents: &[u8]) -> Vec<u8> {
    block(&header(kind, name.as_bytes(), contents.len() as u64), contents)
}

fn block(header: &Header, contents: &[u8]) -> Vec<u8> {
    let padding = vec![0; contents.len().next_multiple_of(512) - contents.len()];
    [header.as_bytes().as_slice(), contents, &padding].concat()
}

/// The entries and the end of an archive.
fn whole(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

/// PAX records: each is preceded by its own length.
fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut records = Vec::new();
    for (key, value) in pairs {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len() + 1;
        while length.to_string().len() + rest.len() != length {
            length += 1;
        }
        write!(records, "{length}{rest}").unwrap();
    }
    records
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    // As the program zstd does.
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn files_and_directories_come_out_as_they_went_in() {
    let long = format!("{}/{}.txt", "d".repeat(120), "f".repeat(150));
    let mut builder = Builder::new(Vec::new());
    for (name, contents) in [("./a.txt", "a"), ("b/c", ""), (long.as_str(), "long"), ("ü 100 %", "odd")] {
        let mut header = Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o6777);
        header.set_uid(1 << 40);
        header.set_mtime(u64::MAX >> 1);
        builder.append_data(&mut header, name, contents.as_bytes()).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let file = |name: &str, contents: &str| (name.to_owned(), contents.as_bytes().to_vec());
    let mut files = vec![file("a.txt", "a"), file("b/c", ""), file(&long, "long"), file("ü 100 %", "odd")];
    files.sort();
    let expected = Ok((vec!["b".to_owned(), "d".repeat(120)], files));
    let place = Place::new();
    assert_eq!(place.unpack(&archive, Unpack::Tar, LIMITS), expected);
    assert_eq!(place.unpack(&gzip(&archive), Unpack::TarGz, LIMITS), expected);
    // The second time from what is known of it.
    for _ in 0..2 {
        assert_eq!(place.unpack(&zstd(&archive), Unpack::TarZst, LIMITS), expected);
    }
    let fewer = Limits { entries: 3, ..LIMITS };
    assert_eq!(place.unpack(&zstd(&archive), Unpack::TarZst, fewer).unwrap_err().0, Reason::FetchTooLarge);
}

#[test]
fn what_common_writers_write_is_taken() {
    let names = |unpacked: Unpacked| {
        let (directories, files) = unpacked.unwrap();
        [directories, files.into_iter().map(|(path, _)| path).collect()].concat()
    };
    let long = "x".repeat(200);
    for (entries, expected) in [
        (vec![], vec![]),
        (vec![entry(b'5', "./", b""), entry(b'5', "./d/", b""), entry(b'0', "./d/a", b"a")], vec!["d", "d/a"]),
        (vec![entry(b'5', ".", b""), entry(b'\0', "a", b"a"), entry(b'7', "b", b"b")], vec!["a", "b"]),
        // Before directories had a type.
        (vec![entry(b'\0', "old/", b"")], vec!["old"]),
        (vec![entry(b'5', "d/", b""), entry(b'5', "d/", b"")], vec!["d"]),
        // What git archive puts first.
        (vec![entry(b'g', "pax_global_header", &records(&[("comment", "0123")])), entry(b'0', "a", b"")], vec!["a"]),
        (vec![entry(b'x', "x", &records(&[("path", &long), ("mtime", "1.5"), ("size", "1")])), entry(b'0', "x", b"a")], vec![&long]),
        (vec![entry(b'L', "././@LongLink", format!("{long}\0").as_bytes()), entry(b'0', "x", b"a")], vec![&long]),
    ] {
        assert_eq!(names(tar(&whole(&entries))), expected, "{expected:?}");
    }
    // A whole record of zeros at the end, as tar writes it.
    assert_eq!(names(tar(&[entry(b'0', "a", b"a"), vec![0; 20 * 512]].concat())), ["a"]);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let deep = "d/".repeat(40) + "x";
    let rows = [
        ("../../x", ". or .."),
        ("/etc/x", "begins or ends with a slash"),
        ("a/../../x", ". or .."),
        ("a/./x", ". or .."),
        ("C:\\x", "backslash"),
        ("a\\..\\b", "backslash"),
        ("", "is empty"),
        (".", ". or .."),
        ("..", ". or .."),
        ("./", "is empty"),
        ("././x", ". or .."),
        ("a//b", "two in a row"),
        ("a\nb", "control character"),
    ];
    for (name, says) in rows {
        // A directory that is the archive's own root is no harm; a file cannot be it.
        for kind in [b'0', b'5'] {
            if kind == b'5' && matches!(name, "." | "./") || kind == b'0' && name == "./" {
                continue;
            }
            let (reason, message) = tar(&whole(&[entry(kind, name, b"")])).unwrap_err();
            assert_eq!(reason, Reason::ArchiveUnsafe, "{name:?} {message}");
            assert!(message.contains(says), "{name:?} {message}");
        }
    }
    assert_eq!(tar(&whole(&[entry(b'0', &deep, b"")])).unwrap_err().0, Reason::FetchTooLarge);
    let (reason, message) = tar(&whole(&[block(&header(b'0', b"a\xff", 0), b"")])).unwrap_err();
    assert!(reason == Reason::ArchiveUnsafe && message.contains("no UTF-8"), "{message}");
}

#[test]
fn what_is_no_plain_file_or_is_there_twice_is_refused() {
    let pax = |pairs: &[(&str, &str)]| entry(b'x', "x", &records(pairs));
    let rows = [
        (vec![entry(b'2', "l", b""), entry(b'0', "l/x", b"")], "is a link"),
        (vec![entry(b'1', "l", b"")], "is a link"),
        (vec![entry(b'K', "././@LongLink", b"/etc/passwd\0"), entry(b'2', "l", b"")], "is a link"),
        (vec![entry(b'3', "c", b"")], "is a device or pipe"),
        (vec![entry(b'4', "b", b"")], "is a device or pipe"),
        (vec![entry(b'6', "p", b"")], "is a device or pipe"),
        (vec![entry(b'M', "m", b"")], "neither a file nor a directory"),
        (vec![entry(b'V', "v", b"")], "neither a file nor a directory"),
        (vec![entry(b'D', "d", b"")], "neither a file nor a directory"),
        (vec![pax(&[("GNU.sparse.major", "1")]), entry(b'0', "s", b"")], "sparse"),
        (vec![pax(&[("hdrcharset", "BINARY")]), entry(b'0', "s", b"")], "another character set"),
        (vec![entry(b'0', "a", b"1"), entry(b'0', "a", b"2")], "is there twice"),
        (vec![entry(b'0', "a", b"1"), entry(b'0', "./a", b"2")], "is there twice"),
        (vec![entry(b'0', "a", b""), entry(b'0', "a/b", b"")], "both a file and a directory"),
        (vec![entry(b'0', "a/b", b""), entry(b'0', "a", b"")], "both a file and a directory"),
        (vec![entry(b'5', "a/", b""), entry(b'0', "a", b"")], "both a file and a directory"),
    ];
    for (entries, says) in rows {
        let (reason, message) = tar(&whole(&entries)).unwrap_err();
        assert_eq!(reason, Reason::ArchiveUnsafe, "{message}");
        assert!(message.contains(says), "{says}: {message}");
    }
}

#[test]
fn what_readers_could_read_differently_is_refused() {
    let good = entry(b'0', "a", b"contents");
    let pax = |pairs: &[(&str, &str)]| entry(b'x', "x", &records(pairs));
    let sized = |field: [u8; 12]| {
        let mut header = header(b'0', b"a", 0);
        header.as_mut_bytes()[124..136].copy_from_slice(&field);
        header.set_cksum();
        whole(&[block(&header, b"")])
    };
    let mut checksum = good.clone();
    checksum[148] ^= 1;
    let one = whole(std::slice::from_ref(&good));
    let mut noise = one.clone();
    noise.extend_from_slice(b"more");
    let rows = [
        ("size larger", whole(&[pax(&[("size", "9")]), good.clone()])),
        ("size smaller", whole(&[pax(&[("size", "0")]), good.clone()])),
        ("size twice", whole(&[pax(&[("size", "8"), ("size", "9")]), good.clone()])),
        ("size is no number", whole(&[pax(&[("size", "8x")]), good.clone()])),
        ("path twice", whole(&[pax(&[("path", "b"), ("path", "c")]), good.clone()])),
        ("two long names", whole(&[entry(b'L', "l", b"b\0"), pax(&[("path", "c")]), good.clone()])),
        ("path for all", whole(&[entry(b'g', "g", &records(&[("path", "b")])), good.clone()])),
        ("size for all", whole(&[entry(b'g', "g", &records(&[("size", "1")])), good.clone()])),
        ("malformed extension", whole(&[entry(b'x', "x", b"99 path=b\n"), good.clone()])),
        ("extension of nothing", whole(&[pax(&[("path", "b")])])),
        ("garbage as size", sized(*b"garbage!!!!!")),
        ("negative size", sized([0xff; 12])),
        ("size of 2^63", sized([0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0])),
        ("size of 2^95", sized([0x80, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("directory with contents", whole(&[entry(b'5', "d/", b"contents")])),
        ("checksum", whole(&[checksum])),
        ("garbage after the end", noise),
        ("two archives", [one.as_slice(), &one].concat()),
        ("no end", good.clone()),
        ("half an end", [good.clone(), vec![0; 512]].concat()),
        ("cut off in a file", good[..515].to_vec()),
        ("cut off in a header", good[..100].to_vec()),
        ("nothing", Vec::new()),
        ("text", b"<!DOCTYPE html><html></html>".repeat(100)),
        ("zip", [&b"PK\x03\x04"[..], &[0x41; 2000]].concat()),
    ];
    for (what, archive) in rows {
        let (reason, message) = tar(&archive).expect_err(what);
        assert_eq!(reason, Reason::ArchiveUnsafe, "{what}: {message}");
        assert!(message.contains("it is damaged"), "{what}: {message}");
    }
}

#[test]
fn a_compressed_stream_is_one_and_whole() {
    let archive = whole(&[entry(b'0', "a", &b"contents".repeat(1000))]);
    let (zst, gz) = (zstd(&archive), gzip(&archive));
    let mut flipped = zst.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let rows = [
        ("cut off", zst[..zst.len() - 5].to_vec(), Unpack::TarZst),
        ("two streams", [zst.clone(), zst.clone()].concat(), Unpack::TarZst),
        ("garbage after it", [zst.as_slice(), b"more"].concat(), Unpack::TarZst),
        ("damaged", flipped, Unpack::TarZst),
        ("not zstd", gz.clone(), Unpack::TarZst),
        ("not zstd at all", archive.clone(), Unpack::TarZst),
        ("empty", Vec::new(), Unpack::TarZst),
        ("cut off", gz[..gz.len() - 5].to_vec(), Unpack::TarGz),
        ("two streams", [gz.clone(), gz.clone()].concat(), Unpack::TarGz),
        ("garbage after it", [gz.as_slice(), b"more"].concat(), Unpack::TarGz),
        ("not gzip", zst.clone(), Unpack::TarGz),
        ("empty", Vec::new(), Unpack::TarGz),
        ("compressed though it should not be", gz, Unpack::Tar),
    ];
    for (what, bytes, format) in rows {
        let (reason, message) = Place::new().unpack(&bytes, format, LIMITS).map(drop).expect_err(what);
        assert_eq!(reason, Reason::ArchiveUnsafe, "{what} {format:?}: {message}");
    }
}

#[test]
fn bombs_end_at_their_caps() {
    let zeros = vec![0; 1 << 20];
    let many = |count: u64| -> Vec<Vec<u8>> { (0..count).map(|number| entry(b'0', &format!("{number}"), b"")).collect() };
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.long_distance_matching(true).unwrap();
    wide.window_log(27).unwrap();
    wide.write_all(&whole(&[entry(b'0', "a", &vec![1; 20 << 20])])).unwrap();
    let small = Limits { bytes: 1 << 20, entries: 10 };
    let rows = [
        ("zeros", zstd(&whole(&[entry(b'0', "a", &zeros), entry(b'0', "b", &zeros)])), Unpack::TarZst),
        ("a size that is not there", whole(&[block(&header(b'0', b"a", 1 << 40), b"")]), Unpack::Tar),
        ("entries", gzip(&whole(&many(11))), Unpack::TarGz),
        ("directories", whole(&(0..11).map(|number| entry(b'5', &format!("d{number}/"), b"")).collect::<Vec<_>>()), Unpack::Tar),
        ("a long name", zstd(&whole(&[entry(b'L', "l", &vec![b'a'; 2 << 20]), entry(b'0', "a", b"")])), Unpack::TarZst),
        ("an extension", zstd(&whole(&[entry(b'x', "x", &vec![b'a'; 2 << 20]), entry(b'0', "a", b"")])), Unpack::TarZst),
        ("an endless end", zstd(&[whole(&[]), vec![0; 8 << 20]].concat()), Unpack::TarZst),
        ("a wide window", wide.finish().unwrap(), Unpack::TarZst),
    ];
    for (what, bytes, format) in rows {
        let (reason, message) = Place::new().unpack(&bytes, format, small).expect_err(what);
        assert_eq!(reason, Reason::FetchTooLarge, "{what}: {message}");
    }
    assert_eq!(Place::new().unpack(&whole(&many(10)), Unpack::Tar, small).expect("ten are allowed").1.len(), 10);
    const { assert!(HEADER_BYTES < 2 << 20, "the rows above are larger") };
}

#[test]
fn an_archive_grows_only_so_far() {
    let limits = |input_bytes, input_entries| FetchLimits { input_bytes, input_entries, ..FetchLimits::default() };
    for (archive_bytes, limits, expected) in [
        (0, limits(u64::MAX, u64::MAX), (1 << 30, 10_000)),
        (10 << 20, limits(64 << 30, 5), ((1 << 30) + (1000 << 20), 5)),
        (10 << 30, limits(64 << 30, 100_000), (64 << 30, 10_000)),
        (u64::MAX, limits(u64::MAX, 1), (u64::MAX, 1)),
    ] {
        let of = Limits::of(archive_bytes, &limits);
        assert_eq!((of.bytes, of.entries), expected, "{archive_bytes}");
    }
}

#[test]
fn an_unpacking_that_nobody_waits_for_ends() {
    let place = Place::new();
    let mut writer = place.store.writer().unwrap();
    writer.write(&whole(&[entry(b'0', "a", b"a")])).unwrap();
    let blob = writer.finish().unwrap();
    let given_up = Arc::new(AtomicBool::new(true));
    let unpacked = unpack(&place.store, &blob, Unpack::Tar, LIMITS, &given_up);
    assert!(matches!(unpacked, Err(Refusal::Damaged(_))), "{unpacked:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_unpacked_or_refused(bytes in any::<Vec<u8>>(), format in prop::sample::select(vec![Unpack::Tar, Unpack::TarGz, Unpack::TarZst])) {
        let _ = Place::new().unpack(&bytes, format, LIMITS);
    }

    #[test]
    fn any_change_of_an_archive_is_unpacked_safely_or_refused(at in 0_usize..2560, to in any::<u8>(), cut in 0_usize..3584) {
        let mut archive = whole(&[entry(b'x', "x", &records(&[("path", "long")])), entry(b'0', "a", b"contents"), entry(b'5', "d/", b"")]);
        archive[at] = to;
        archive.truncate(archive.len().max(cut) - cut.min(archive.len() / 2));
        if let Ok((directories, files)) = tar(&archive) {
            for path in directories.iter().chain(files.iter().map(|(path, _)| path)) {
                prop_assert!(crate::fetch::path::safe_path(path).is_ok());
            }
        }
    }
}
