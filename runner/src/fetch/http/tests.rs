use crds::reason::Reason;
use proptest::prelude::*;
use url::Url;

use super::hop::{first_hop, next_hop, shown};
use super::name::{of_disposition, of_url};

#[test]
fn a_url_is_judged_before_anything_is_asked() {
    for (text, expected) in [
        ("https://example.com/x", None),
        ("HTTP://example.com/x", None),
        ("https://good#@evil", None),
        ("file:///etc/passwd", Some(Reason::FetchDenied)),
        ("ftp://example.com/", Some(Reason::FetchDenied)),
        ("gopher://example.com/", Some(Reason::FetchDenied)),
        ("data:,hello", Some(Reason::FetchDenied)),
        ("unix:/run/x", Some(Reason::FetchDenied)),
        ("https://a:b@host/", Some(Reason::InvalidSpec)),
        ("https://good@evil/", Some(Reason::InvalidSpec)),
        ("https://good\\@evil/", Some(Reason::InvalidSpec)),
        ("https://exa\tmple.com/", Some(Reason::InvalidSpec)),
        ("https://example.com/\n", Some(Reason::InvalidSpec)),
        ("https://example.com:65536/", Some(Reason::InvalidSpec)),
        ("no url", Some(Reason::InvalidSpec)),
        (&format!("https://example.com/{}", "x".repeat(9000)), Some(Reason::InvalidSpec)),
    ] {
        assert_eq!(first_hop(text).err().map(|failure| failure.reason), expected, "{text}");
    }
}

#[test]
fn a_redirect_is_resolved_and_judged_like_a_first_url() {
    let from = Url::parse("https://example.com/a/b?q#f").unwrap();
    for (location, expected) in [
        ("c", Ok("https://example.com/a/c")),
        ("/c#part", Ok("https://example.com/c")),
        ("//other.example/c", Ok("https://other.example/c")),
        ("https://other.example:8443/", Ok("https://other.example:8443/")),
        ("http://example.com/", Err(Reason::FetchDenied)),
        ("file:///etc/passwd", Err(Reason::FetchDenied)),
        ("https://a:b@example.com/", Err(Reason::FetchDenied)),
        ("https://[", Err(Reason::FetchFailed)),
    ] {
        let next = next_hop(&from, Some(location.as_bytes()));
        assert_eq!(next.as_ref().map(Url::as_str).map_err(|failure| failure.reason), expected, "{location}");
    }
    assert_eq!(next_hop(&from, None).unwrap_err().reason, Reason::FetchFailed);
    assert_eq!(next_hop(&from, Some(b"\xff\xfe")).unwrap_err().reason, Reason::FetchFailed);
    assert_eq!(next_hop(&from, Some("x".repeat(300 << 10).as_bytes())).unwrap_err().reason, Reason::FetchFailed);
    let plain = Url::parse("http://example.com/").unwrap();
    assert_eq!(next_hop(&plain, Some(b"https://example.com/")).unwrap().scheme(), "https");
}

#[test]
fn messages_hold_no_secret_of_a_url() {
    assert_eq!(shown(&Url::parse("https://h/p?X-Amz-Signature=secret#f").unwrap()), "https://h/p?…");
    assert_eq!(shown(&Url::parse("https://u:secret@h/p").unwrap()), "https://h/p");
}

#[test]
fn a_file_is_called_what_the_server_calls_it() {
    for (header, expected) in [
        ("attachment; filename=plain.wasm", Some("plain.wasm")),
        ("attachment; filename=\"with space.txt\"", Some("with space.txt")),
        ("attachment; filename=\"a;b=c.txt\"; size=3", Some("a;b=c.txt")),
        ("attachment; filename=\"quo\\\"te.txt\"", Some("quo\"te.txt")),
        ("attachment; filename=\"C:\\dir\\x.txt\"", Some("x.txt")),
        ("attachment; filename=\"../../etc/passwd\"", Some("passwd")),
        ("attachment; filename=fallback; filename*=UTF-8''%e2%82%ac%20rates", Some("€ rates")),
        ("attachment; FileName*=iso-8859-1'en'%A3%20rates", Some("£ rates")),
        ("attachment; filename*=UTF-8''..%2f..%2fx; filename=\"ok\"", Some("x")),
        ("attachment; filename*=utf-16''x; filename=ok", Some("ok")),
        ("attachment; filename*=UTF-8''%00; filename=ok", Some("ok")),
        ("attachment; filename=\"..\"", None),
        ("attachment; filename=\"unclosed", Some("unclosed")),
        ("attachment", None),
        ("inline;;;=;filename=", None),
    ] {
        assert_eq!(of_disposition(header.as_bytes()).as_deref(), expected, "{header}");
    }
}

#[test]
fn else_it_is_called_what_the_url_ends_in() {
    for (url, expected) in [
        ("https://h/a/image0.JPG?x=/y", Some("image0.JPG")),
        ("https://h/a%20b", Some("a b")),
        ("https://h/a%2Fb", Some("b")),
        ("https://h/%2e%2e", None),
        ("https://h/a%0Ab", None),
        ("https://h/%ff", None),
        ("https://h/dir/", None),
        ("https://h", None),
    ] {
        assert_eq!(of_url(&Url::parse(url).unwrap()).as_deref(), expected, "{url}");
    }
}

proptest! {
    #[test]
    fn any_url_that_is_let_through_is_http_without_a_user(text in prop_oneof![
        "(?i)(https?|file|ftp|data|javascript)?:?[/\\\\]{0,3}[a-z0-9.@:\\[\\]%#?-]{0,24}",
        ".{0,40}",
    ]) {
        if let Ok(url) = first_hop(&text) {
            prop_assert!(matches!(url.scheme(), "http" | "https"), "{url}");
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.has_host(), "{url}");
        }
    }

    #[test]
    fn any_redirect_from_https_stays_on_https(location in prop_oneof!["(https?:)?(//)?[a-z0-9./@:-]{0,24}", ".{0,40}"]) {
        let from = Url::parse("https://example.com/a/b").unwrap();
        if let Ok(url) = next_hop(&from, Some(location.as_bytes())) {
            prop_assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none(), "{url}");
        }
    }
}

proptest! {
    #[test]
    fn any_header_gives_a_safe_name_or_none(header in any::<Vec<u8>>()) {
        if let Some(name) = of_disposition(&header) {
            prop_assert!(crate::fetch::path::safe_path(&name).is_ok() && !name.contains('/'));
        }
    }

    #[test]
    fn any_quoted_text_gives_a_safe_name_or_none(text in r#"[a-z"\\/;=.' %]{0,30}"#) {
        if let Some(name) = of_disposition(format!("attachment; filename=\"{text}\"; filename*=UTF-8''{text}").as_bytes()) {
            prop_assert!(crate::fetch::path::safe_path(&name).is_ok() && !name.contains('/'));
        }
    }
}
