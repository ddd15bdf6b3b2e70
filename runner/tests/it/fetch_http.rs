//! Fetching over HTTP from servers that lie, stall, break off and send people elsewhere.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crds::digest::Digest;
use crds::reason::Reason;
use crds::source::{HttpSource, Source};
use runner::failure::Failure;
use runner::fetch::address::AddressPolicy;
use runner::fetch::{FetchConfig, FetchLimits, Fetched, Fetcher, Progress};
use runner::store::Store;
use sha2::{Digest as _, Sha256};

use crate::server::{Server, ok, say, status};

const MAX_BYTES: u64 = 1 << 20;

struct Setup {
    directory: tempfile::TempDir,
    fetcher: Fetcher,
}

/// A fetcher that reaches loopback and does not wait long.
fn setup() -> Setup {
    setup_with(AddressPolicy { allow_private: true, ..AddressPolicy::default() }, |_| {})
}

fn setup_with(addresses: AddressPolicy, change: impl FnOnce(&mut FetchLimits)) -> Setup {
    let mut limits = FetchLimits { idle_timeout: Duration::from_mins(1), ..FetchLimits::default() };
    change(&mut limits);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), 1 << 30).unwrap();
    let fetcher = Fetcher::new(FetchConfig { limits, addresses, ..FetchConfig::default() }, store).unwrap();
    Setup { directory, fetcher }
}

impl Setup {
    async fn fetch(&self, url: &str, expected: Option<&Digest>) -> Result<Fetched, Failure> {
        self.fetch_counting(url, expected, &Progress::default()).await
    }

    async fn fetch_counting(&self, url: &str, expected: Option<&Digest>, progress: &Progress) -> Result<Fetched, Failure> {
        let source = HttpSource { url: url.to_owned() };
        let fetch = self.fetcher.file(Source::Http(&source), expected, MAX_BYTES, progress);
        tokio::time::timeout(Duration::from_mins(2), fetch).await.expect("a fetch must end")
    }

    fn kept(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("blobs")).unwrap().count()
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn read(fetched: &Fetched) -> Vec<u8> {
    let mut bytes = Vec::new();
    fetched.blob.open().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn reason(result: Result<Fetched, Failure>) -> Reason {
    result.expect_err("this must fail").reason
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_fetched_once_and_then_known_by_its_digest() {
    let server = Server::saying(ok("", b"hello"));
    let setup = setup();
    let progress = Progress::default();
    let first = setup.fetch_counting(&server.url("/dir/a%20b.wasm?sig=x"), None, &progress).await.unwrap();
    assert_eq!((read(&first), first.name.as_deref(), first.blob.digest()), (b"hello".to_vec(), Some("a b.wasm"), digest(b"hello")));
    assert_eq!((progress.fetched_bytes.load(Ordering::SeqCst), progress.total_bytes.load(Ordering::SeqCst)), (5, 5));
    let again = setup.fetch(&server.url("/other"), Some(&digest(b"hello"))).await.unwrap();
    assert_eq!((again.blob, server.requests()), (first.blob, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_want_the_same_digest_at_once_share_one_download() {
    let server = Server::saying(ok("", &vec![7; 300_000]));
    let setup = Arc::new(setup());
    let wanted = digest(&vec![7; 300_000]);
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (setup, url) = (Arc::clone(&setup), server.url(&format!("/{number}")));
            tokio::spawn(async move { setup.fetch(&url, Some(&wanted)).await.unwrap().blob.digest() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), wanted);
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_arrive_whole_and_hashed() {
    let body: Vec<u8> = (0..900_000_u32).map(|number| (number % 251) as u8).collect();
    let server = Server::saying(ok("", &body));
    let setup = setup();
    let fetched = setup.fetch(&server.url("/x"), Some(&digest(&body))).await.unwrap();
    assert_eq!(read(&fetched), body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_bytes_than_expected_are_refused_and_not_kept() {
    for size in [4, 600_000] {
        let server = Server::saying(ok("", &vec![b'x'; size]));
        let setup = setup();
        let failure = setup.fetch(&server.url("/x"), Some(&digest(b"good"))).await.unwrap_err();
        assert_eq!(failure.reason, Reason::DigestMismatch);
        for part in [digest(b"good").to_string(), digest(&vec![b'x'; size]).to_string(), server.url("/x")] {
            assert!(failure.message.contains(&part), "{failure}");
        }
        assert_eq!((server.requests(), setup.kept()), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_end_is_cut_at_the_cap() {
    let server = Server::new(|_, _, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".as_slice(), &vec![0; 0x10000], b"\r\n"].concat();
        while std::io::Write::write_all(stream, &chunk).is_ok() {}
    });
    let setup = setup();
    let progress = Progress::default();
    assert_eq!(reason(setup.fetch_counting(&server.url("/x"), None, &progress).await), Reason::FetchTooLarge);
    assert_eq!((server.requests(), setup.kept(), progress.fetched_bytes.load(Ordering::SeqCst)), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announced_size_above_the_cap_is_not_even_read() {
    let server = Server::new(|_, _, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 10995116277760\r\n\r\n");
        let _ = stream.read(&mut [0]);
    });
    assert_eq!(reason(setup().fetch(&server.url("/x"), None).await), Reason::FetchTooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_body_is_tried_again_and_then_a_failure() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n40\r\n{}", "x".repeat(50));
        let server = Server::saying(answer);
        let setup = setup();
        assert_eq!(reason(setup.fetch(&server.url("/x"), None).await), Reason::FetchFailed, "{head}");
        assert_eq!((server.requests(), setup.kept()), (3, 0), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_beyond_the_announced_size_do_not_count() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789and more");
    assert_eq!(read(&setup().fetch(&server.url("/x"), None).await.unwrap()), b"0123456789");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_connection_is_tried_again() {
    let server = Server::new(|number, _, stream| match number {
        0 => {
            say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx");
            // Closing with linger 0 sends a reset.
            rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
        }
        _ => say(stream, &ok("", b"hello")),
    });
    assert_eq!(read(&setup().fetch(&server.url("/x"), None).await.unwrap()), b"hello");
    assert_eq!(server.requests(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_status_means_what_it_says() {
    for (line, expected, requests) in [
        ("404 Not Found", Reason::FetchNotFound, 1),
        ("410 Gone", Reason::FetchNotFound, 1),
        ("403 Forbidden", Reason::FetchDenied, 1),
        ("401 Unauthorized", Reason::FetchDenied, 1),
        ("204 No Content", Reason::FetchFailed, 1),
        ("206 Partial Content", Reason::FetchFailed, 1),
        ("304 Not Modified", Reason::FetchFailed, 1),
        ("302 Found", Reason::FetchFailed, 1),
        ("400 Bad Request", Reason::FetchFailed, 1),
        ("500 Internal Server Error", Reason::FetchFailed, 3),
        ("503 Service Unavailable", Reason::FetchFailed, 3),
        ("429 Too Many Requests", Reason::FetchFailed, 3),
        ("100 Continue", Reason::FetchFailed, 3),
    ] {
        let server = Server::saying(status(line, "Retry-After: 0\r\n"));
        let failure = setup().fetch(&server.url("/x"), None).await.unwrap_err();
        assert_eq!((failure.reason, server.requests()), (expected, requests), "{line}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_waited_for() {
    for line in ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "429 Too Many Requests"] {
        let server = Server::new(move |number, _, stream| match number {
            0 => say(stream, &status(line, "")),
            _ => say(stream, &ok("", b"hello")),
        });
        assert_eq!(read(&setup().fetch(&server.url("/x"), None).await.unwrap()), b"hello", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_five_times_and_no_more() {
    for (redirects, expected) in [(5, None), (6, Some(Reason::FetchFailed))] {
        let server = Server::new(move |number, _, stream| {
            if number < redirects {
                say(stream, &status("302 Found", &format!("Location: /hop{number}\r\n")));
            } else {
                say(stream, &ok("", b"hello"));
            }
        });
        let result = setup().fetch(&server.url("/x"), None).await;
        assert_eq!((result.err().map(|failure| failure.reason), server.requests()), (expected, 6), "{redirects}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_where_nobody_may_go_is_refused_at_that_hop() {
    for (location, expected) in [
        ("file:///etc/passwd", Reason::FetchDenied),
        ("ftp://127.0.0.1/x", Reason::FetchDenied),
        ("http://10.0.0.1/", Reason::FetchDenied),
        ("http://169.254.169.254/latest/meta-data", Reason::FetchDenied),
        ("http://[::1]/", Reason::FetchDenied),
        ("//0x7f.2/", Reason::FetchDenied),
        ("http://localhost/", Reason::FetchDenied),
        ("http://a:b@127.0.0.1/", Reason::FetchDenied),
        ("http://[", Reason::FetchFailed),
    ] {
        let server = Server::saying(status("302 Found", &format!("Location: {location}\r\n")));
        // Exactly this server may be reached.
        let policy =
            AddressPolicy { allowed: vec!["127.0.0.1/32".parse().unwrap()], allowed_ports: vec![server.port], ..AddressPolicy::default() };
        let failure = setup_with(policy, |_| {}).fetch(&server.url("/x"), None).await.unwrap_err();
        assert_eq!((failure.reason, server.requests()), (expected, 1), "{location}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_private_addresses_are_closed_no_connection_is_made() {
    let server = Server::saying(ok("", b"secret"));
    let setup = setup_with(AddressPolicy::default(), |_| {});
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let url = format!("http://{host}:{}/", server.port);
        assert_eq!(reason(setup.fetch(&url, None).await), Reason::FetchDenied, "{host}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_left() {
    for said in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxxx"] {
        let server = Server::new(move |_, _, stream| {
            say(stream, said.as_bytes());
            let _ = stream.read(&mut [0]);
        });
        let policy = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        let setup = setup_with(policy, |limits| limits.idle_timeout = Duration::from_millis(300));
        assert_eq!(reason(setup.fetch(&server.url("/x"), None).await), Reason::FetchTimeout, "{said:?}");
        assert_eq!(setup.kept(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drips_is_left() {
    let server = Server::new(|_, _, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while std::io::Write::write_all(stream, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let policy = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    let setup = setup_with(policy, |limits| limits.rate_window = Duration::from_millis(300));
    let failure = setup.fetch(&server.url("/x"), None).await.unwrap_err();
    assert_eq!(failure.reason, Reason::FetchTimeout);
    assert!(failure.message.contains("bytes/s"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_fetch_has_a_deadline() {
    let server = Server::new(|_, _, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while std::io::Write::write_all(stream, b"1\r\nx\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let policy = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    let setup = setup_with(policy, |limits| limits.total_timeout = Duration::from_millis(500));
    assert_eq!(reason(setup.fetch(&server.url("/x"), None).await), Reason::FetchTimeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_or_broken_headers_are_a_failure() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 1\r\n\r\nx", "x".repeat(1 << 20));
    for answer in [huge.as_str(), "SSH-2.0-OpenSSH_9\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "\0\0\0\0\0\0\0\0"] {
        let server = Server::saying(answer);
        let shown: String = answer.chars().take(40).collect();
        assert_eq!(reason(setup().fetch(&server.url("/x"), None).await), Reason::FetchFailed, "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_kept_as_they_were_sent() {
    let server = Server::new(|_, head, stream| {
        assert!(head.to_ascii_lowercase().contains("accept-encoding: identity"), "{head}");
        say(stream, &ok("Content-Encoding: gzip\r\n", b"\x1f\x8bnot decoded"));
    });
    assert_eq!(read(&setup().fetch(&server.url("/x"), None).await.unwrap()), b"\x1f\x8bnot decoded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listening_is_a_failure() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = setup().fetch(&format!("http://127.0.0.1:{port}/x?signature=secret"), None).await.unwrap_err();
    assert_eq!(failure.reason, Reason::FetchFailed);
    assert!(!failure.message.contains("secret"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_has_the_same_name_whether_or_not_its_bytes_were_known() {
    for (path, header, expected) in [
        ("/image0.JPG", "", "image0.JPG"),
        ("/download?id=7", "Content-Disposition: attachment; filename=\"../x/photo.jpg\"\r\n", "photo.jpg"),
        ("/", "", "images"),
    ] {
        let server = Server::saying(ok(header, b"picture"));
        let setup = setup();
        let source = HttpSource { url: server.url(path) };
        for round in 0..3 {
            let expected_digest = (round > 0).then(|| digest(b"picture"));
            let tree = setup.fetcher.tree(Source::Http(&source), "images", expected_digest.as_ref(), &Progress::default()).await.unwrap();
            let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(paths, [expected], "{path} {round}");
        }
        assert_eq!(server.requests(), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inline_bytes_are_verified_and_capped_like_any_other() {
    let setup = setup();
    let progress = Progress::default();
    let fetch = async |text: &str, expected: Option<&Digest>, max_bytes| {
        setup.fetcher.file(Source::Inline(text), expected, max_bytes, &progress).await.map(|fetched| read(&fetched)).map_err(|e| e.reason)
    };
    assert_eq!(fetch("aGVs\nbG8=\n", None, 10).await, Ok(b"hello".to_vec()));
    assert_eq!(fetch("aGVsbG8=", Some(&digest(b"hello")), 10).await, Ok(b"hello".to_vec()));
    assert_eq!(fetch("aGVsbG8=", Some(&digest(b"other")), 10).await, Err(Reason::DigestMismatch));
    assert_eq!(fetch("aGVsbG8=", None, 4).await, Err(Reason::FetchTooLarge));
    assert_eq!(fetch("a*b", None, 10).await, Err(Reason::InvalidSpec));
}
