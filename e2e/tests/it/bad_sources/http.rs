//! Web servers.

use e2e::{Answer, Server};

use super::{document, idle, refused};
use crate::place::{Place, nobody};

/// What a signed URL ends with: it is in no message.
const SIGNED: &str = "?X-Amz-Signature=s3cret";
const NO_DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Refused as a module and as an input, each time with the field and the URL, and without what is secret in it.
fn refused_twice(url: &str, reason: &str, says: &[&str]) {
    let signed = format!("{url}{SIGNED}");
    let place = Place::new();
    place.write("idle.wasm", idle());
    for (words, field) in [(&["run", &signed][..], "spec.module"), (&["run", "idle.wasm", "-i", &signed], "spec.inputs[file]")] {
        let ran = refused(&place, words, reason, &[says, &[field, url]].concat());
        assert!(!ran.stderr.contains("s3cret"), "{ran:?}");
    }
}

#[test]
fn an_answer_that_is_no_file_is_refused_with_its_reason() {
    let server = Server::start().expect("it starts");
    let rows: [(Answer, &str, &[&str]); 9] = [
        (Answer::status(404), "FetchNotFound", &["404", "check the URL"]),
        (Answer::status(410), "FetchNotFound", &["410", "check the URL"]),
        (Answer::status(401), "FetchDenied", &["401", "signed URL"]),
        (Answer::status(403), "FetchDenied", &["403", "readable without credentials"]),
        (Answer::status(418), "FetchFailed", &["418", "instead of 200"]),
        (Answer::status(204), "FetchFailed", &["204", "instead of 200"]),
        (Answer::status(500), "FetchFailed", &["500", "tried 3 times"]),
        (Answer::declaring(100, "short"), "FetchFailed", &["the transfer broke off", "tried 3 times"]),
        (Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"), "FetchFailed", &["tried 3 times"]),
    ];
    for (answer, reason, says) in rows {
        refused_twice(&server.answer("/file", answer), reason, says);
    }
}

#[test]
fn redirects_are_followed_only_so_far_and_only_to_the_web() {
    let server = Server::start().expect("it starts");
    let elsewhere = |location: &str| server.answer("/file", Answer::redirect(302, location));
    let rows: [(&str, &str, &[&str]); 6] = [
        ("/file", "FetchFailed", &["more than 5 redirects"]),
        ("file:///etc/passwd", "FetchDenied", &["a redirect was refused", "only http and https"]),
        ("ftp://127.0.0.1/file", "FetchDenied", &["a redirect was refused", "only http and https"]),
        ("s3://bucket/file", "FetchDenied", &["a redirect was refused", "only http and https"]),
        ("http://user:password@127.0.0.1/", "FetchDenied", &["a redirect was refused", "user name or password"]),
        ("http://[", "FetchFailed", &["no URL"]),
    ];
    for (location, reason, says) in rows {
        refused_twice(&elsewhere(location), reason, says);
    }
    refused_twice(&server.answer("/file", Answer::status(302)), "FetchFailed", &["without a Location"]);
    let lost = nobody();
    let place = Place::new();
    refused(&place, &["run", &elsewhere(&lost)], "FetchFailed", &["spec.module", &lost, "cannot connect"]);
    assert_eq!(server.requests().iter().filter(|request| request.path() != "/file").count(), 0);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let url = format!("{}/file", nobody());
    refused_twice(&url, "FetchFailed", &["cannot connect", "tried 3 times"]);
}

#[test]
fn an_endless_module_ends_at_its_limit() {
    let server = Server::start().expect("it starts");
    let url = server.answer("/file", Answer::endless());
    refused(&Place::new(), &["run", &url], "FetchTooLarge", &["spec.module", &url, "268435456 bytes"]);
    let url = server.answer("/file", Answer::declaring(1 << 40, ""));
    refused(&Place::new(), &["run", &url], "FetchTooLarge", &["spec.module", &url, "268435456 bytes"]);
    assert_eq!(server.requests().len(), 2, "what is too large is not asked for again");
}

#[test]
fn what_is_no_module_is_refused_and_named() {
    let server = Server::start().expect("it starts");
    let rows: [(&[u8], &str); 5] = [
        (b"<!DOCTYPE html>\n<html><title>Sign in</title></html>", "an HTML page"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "ELF"),
        (b"", "it is empty"),
        (b"PK\x03\x04zip", "a zip archive"),
        (b"\0asm", "ends within its header"),
    ];
    for (bytes, says) in rows {
        let url = server.answer("/file", Answer::bytes(bytes));
        refused(&Place::new(), &["run", &url], "ModuleInvalid", &[says]);
    }
    let url = server.answer("/file", Answer::bytes(&idle()[..idle().len() - 1]));
    refused(&Place::new(), &["run", &url], "ModuleInvalid", &["not a valid WebAssembly module"]);
}

#[test]
fn a_wrong_digest_names_both() {
    let server = Server::start().expect("it starts");
    let url = server.answer("/file", Answer::bytes(idle()));
    let place = Place::new();
    let digest = format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(idle())));
    for (module, input, field) in [
        (format!("{{http: {{url: '{url}'}}, digest: '{NO_DIGEST}'}}"), "inline: YQ==".to_owned(), "spec.module"),
        (format!("{{http: {{url: '{url}'}}}}"), format!("http: {{url: '{url}'}}, digest: '{NO_DIGEST}'"), "spec.inputs[data]"),
    ] {
        place.write("job.yaml", document(&module, &input));
        refused(&place, &["run", "job.yaml"], "DigestMismatch", &[field, &url, NO_DIGEST, &digest]);
    }
}

#[test]
fn what_heals_is_tried_again() {
    let server = Server::start().expect("it starts");
    let place = Place::new();
    for setback in [Answer::status(500), Answer::status(503), Answer::declaring(100, "short"), Answer::raw("nothing")] {
        let url = server.answers("/idle.wasm", vec![setback, Answer::bytes(idle())]);
        let ran = place.run(&["run", &url]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(server.count("/idle.wasm"), 8);
}
