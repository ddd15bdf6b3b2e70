//! The local HTTP server is honest where asked, and misbehaves exactly as told where not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use e2e::{Answer, Server};
use reqwest::StatusCode;

use crate::http;

#[tokio::test]
async fn files_are_served_whole_in_part_and_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("ten"), b"0123456789").expect("written");
    let server = Server::start().expect("it starts");
    let url = format!("{}ten", server.folder("/files/", folder.path()));

    let whole = http().get(&url).send().await.expect("answered");
    let tag = whole.headers()["etag"].clone();
    assert_eq!(whole.bytes().await.expect("read").as_ref(), b"0123456789");

    let part = http().get(&url).header("Range", "bytes=3-5").header("If-Range", &tag).send().await.expect("answered");
    assert_eq!((part.status(), part.headers()["content-range"].as_bytes()), (StatusCode::PARTIAL_CONTENT, &b"bytes 3-5/10"[..]));
    assert_eq!(part.bytes().await.expect("read").as_ref(), b"345");

    let changed = http().get(&url).header("Range", "bytes=3-5").header("If-Range", "\"old\"").send().await.expect("answered");
    assert_eq!((changed.status(), changed.content_length()), (StatusCode::OK, Some(10)));

    let beyond = http().get(&url).header("Range", "bytes=10-").send().await.expect("answered");
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let known = http().get(&url).header("If-None-Match", &tag).send().await.expect("answered");
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let missing = http().get(server.url("/files/../etc/passwd")).send().await.expect("answered");
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.count("/files/ten"), 5);
}

#[tokio::test]
async fn answers_follow_one_another_and_the_last_stays() {
    let server = Server::start().expect("it starts");
    let url = server.answers("/flaky", vec![Answer::status(503), Answer::status(500), Answer::bytes("ok")]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(http().get(&url).send().await.expect("answered").status().as_u16());
    }
    assert_eq!(seen, [503, 500, 200, 200]);
}

#[tokio::test]
async fn redirects_lead_on_and_requests_are_remembered() {
    let server = Server::start().expect("it starts");
    server.answer("/three", Answer::chunked("there").header("Content-Disposition", "attachment; filename=a.wasm"));
    server.answer("/two", Answer::redirect(307, "/three"));
    let url = server.answer("/one", Answer::redirect(302, &server.url("/two")));
    let answer = http().get(format!("{url}?q=1")).header("X-Test", "yes").send().await.expect("answered");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=a.wasm");
    assert_eq!(answer.text().await.expect("read"), "there");
    let requests = server.requests();
    let targets: Vec<&str> = requests.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/one?q=1", "/two", "/three"]);
    assert_eq!((requests[0].path(), requests[0].header("x-test")), ("/one", Some("yes")));

    let posted = http().post(server.url("/three")).body("payload").send().await.expect("answered");
    assert_eq!(posted.status(), StatusCode::OK);
    assert_eq!(server.requests()[3].body, b"payload");

    let round = server.answer("/round", Answer::redirect(302, "/round"));
    assert!(http().get(round).send().await.expect_err("it never ends").is_redirect());
}

#[tokio::test]
async fn lying_and_ending_bodies_reach_the_client_as_told() {
    let server = Server::start().expect("it starts");
    let truncated = server.answer("/truncated", Answer::declaring(100, "short"));
    let answer = http().get(truncated).send().await.expect("a head comes");
    assert_eq!(answer.content_length(), Some(100));
    assert!(answer.bytes().await.is_err(), "the body ends early");

    let longer = server.answer("/longer", Answer::declaring(3, "longer"));
    assert_eq!(http().get(longer).send().await.expect("answered").text().await.expect("read"), "lon");

    let garbage = server.answer("/garbage", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"));
    assert!(http().get(garbage).send().await.is_err(), "that is no HTTP");

    let slow = server.answer("/slow", Answer::slow("abc", 1, Duration::from_millis(1)));
    assert_eq!(http().get(slow).send().await.expect("answered").text().await.expect("read"), "abc");

    let mut endless = http().get(server.answer("/endless", Answer::endless())).send().await.expect("answered");
    let mut seen = 0;
    while seen < 10_000_000 {
        seen += endless.chunk().await.expect("it goes on").expect("it never ends").len();
    }
}

#[test]
fn silence_lasts_until_the_server_is_dropped() {
    let server = Server::start().expect("it starts");
    server.answer("/silence", Answer::silence());
    let address = server.url("").strip_prefix("http://").expect("a URL").to_owned();
    let mut connection = TcpStream::connect(address).expect("connected");
    connection.write_all(b"GET /silence HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    while server.count("/silence") == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(server);
    let mut said = Vec::new();
    // The end may come as a reset.
    let _ = connection.read_to_end(&mut said);
    assert_eq!(said, b"");
}
