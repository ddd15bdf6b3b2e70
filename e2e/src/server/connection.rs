//! One connection: reads requests, puts answers on the wire. Honest bodies know ranges (RFC 9110 §14, one range) and conditions
//! (`If-None-Match`, `If-Range`).

use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;

use super::Request;
use super::answer::{Answer, Body};

/// A longer head is no request of a test.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Answers request after request until one side closes.
pub(super) fn serve(mut connection: &TcpStream, mut answer: impl FnMut(Request) -> Answer) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut unread = Vec::new();
    while let Some(request) = read_request(connection, &mut unread)? {
        let answer = answer(request.clone());
        match &answer.body {
            Body::Raw(bytes) => return connection.write_all(bytes),
            Body::Silence => return wait_for_the_end(connection),
            Body::Bytes(_) | Body::File(_) => honest(connection, &request, &answer)?,
            Body::Chunked(bytes) => chunked(connection, &request, &answer, bytes)?,
            Body::Declared { length, bytes } => {
                head(connection, answer.status, &with_length(&answer, *length))?;
                return connection.write_all(bytes);
            }
            Body::Endless => return endless(connection, &answer),
            Body::Slow { bytes, piece, pause } => {
                head(connection, answer.status, &with_length(&answer, bytes.len() as u64))?;
                for part in bytes.chunks(*piece) {
                    connection.write_all(part)?;
                    std::thread::sleep(*pause);
                }
            }
        }
    }
    Ok(())
}

type Headers = Vec<(String, String)>;

fn with_length(answer: &Answer, length: u64) -> Headers {
    let mut headers = answer.headers.clone();
    headers.push(("Content-Length".to_owned(), length.to_string()));
    headers
}

fn head(mut connection: &TcpStream, status: u16, headers: &Headers) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Chosen\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    connection.write_all(text.as_bytes())
}

fn chunked(mut connection: &TcpStream, request: &Request, answer: &Answer, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        let bodyless = answer.status < 200 || matches!(answer.status, 204 | 304);
        return head(connection, answer.status, &if bodyless { answer.headers.clone() } else { with_length(answer, 0) });
    }
    let mut headers = answer.headers.clone();
    headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
    head(connection, answer.status, &headers)?;
    if request.method == "HEAD" {
        return Ok(());
    }
    for part in bytes.chunks(ZEROS.len()) {
        write!(connection, "{:x}\r\n", part.len())?;
        connection.write_all(part)?;
        connection.write_all(b"\r\n")?;
    }
    connection.write_all(b"0\r\n\r\n")
}

fn endless(mut connection: &TcpStream, answer: &Answer) -> io::Result<()> {
    let mut headers = answer.headers.clone();
    headers.push(("Connection".to_owned(), "close".to_owned()));
    head(connection, answer.status, &headers)?;
    loop {
        connection.write_all(&ZEROS)?;
    }
}

fn wait_for_the_end(mut connection: &TcpStream) -> io::Result<()> {
    io::copy(&mut connection, &mut io::sink()).map(drop)
}

// === honest bodies ===

enum Content<'a> {
    Bytes(&'a [u8]),
    File(File),
}

fn honest(connection: &TcpStream, request: &Request, answer: &Answer) -> io::Result<()> {
    let (content, length, etag) = match &answer.body {
        Body::Bytes(bytes) => (Content::Bytes(bytes), bytes.len() as u64, hash_of(bytes)),
        Body::File(path) => {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let etag = hash_of(&(metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
            (Content::File(file), metadata.len(), etag)
        }
        _ => unreachable!("the other bodies are not honest"),
    };
    let mut headers = answer.headers.clone();
    headers.push(("ETag".to_owned(), etag.clone()));
    headers.push(("Accept-Ranges".to_owned(), "bytes".to_owned()));
    if request.header("if-none-match").is_some_and(|tags| tags == "*" || tags.contains(&etag)) {
        return head(connection, 304, &headers);
    }
    let same = request.header("if-range").is_none_or(|tag| tag == etag);
    let (status, range) = match request.header("range").filter(|_| same && answer.status == 200) {
        None => (answer.status, 0..length),
        Some(value) => match parse_range(value, length) {
            Asked::Part(range) => (206, range),
            Asked::Whole => (answer.status, 0..length),
            Asked::Nothing => (416, 0..0),
        },
    };
    match status {
        206 => headers.push(("Content-Range".to_owned(), format!("bytes {}-{}/{length}", range.start, range.end - 1))),
        416 => headers.push(("Content-Range".to_owned(), format!("bytes */{length}"))),
        _ => {}
    }
    headers.push(("Content-Length".to_owned(), (range.end - range.start).to_string()));
    head(connection, status, &headers)?;
    if request.method == "HEAD" { Ok(()) } else { send(connection, content, range) }
}

fn send(mut connection: &TcpStream, content: Content<'_>, range: Range<u64>) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => {
            let at = |offset: u64| usize::try_from(offset).expect("an offset into memory");
            connection.write_all(&bytes[at(range.start)..at(range.end)])
        }
        Content::File(file) => {
            // The kernel copies from file to socket, which `io::copy` asks it to do for few files only.
            let mut offset = range.start;
            while offset < range.end {
                let rest = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
                if rustix::fs::sendfile(connection, &file, Some(&mut offset), rest)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(())
        }
    }
}

fn hash_of(value: &impl std::hash::Hash) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

#[derive(Debug, PartialEq)]
enum Asked {
    Part(Range<u64>),
    /// Not one range of bytes: the whole is a correct answer.
    Whole,
    /// Beyond the end.
    Nothing,
}

fn parse_range(value: &str, length: u64) -> Asked {
    let Some((first, last)) = value.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else { return Asked::Whole };
    match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last && first < length => Asked::Part(first..length.min(last.saturating_add(1))),
        (Ok(first), Err(_)) if last.trim().is_empty() && first < length => Asked::Part(first..length),
        (Err(_), Ok(last)) if first.trim().is_empty() && last > 0 && length > 0 => Asked::Part(length.saturating_sub(last)..length),
        (Ok(first), _) if first >= length => Asked::Nothing,
        (Err(_), Ok(_)) if first.trim().is_empty() => Asked::Nothing,
        _ => Asked::Whole,
    }
}

// === requests ===

/// The next request, or `None` when the other side has closed. `unread` keeps what came after it.
fn read_request(connection: &TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some((mut request, head_length)) = parse_head(unread)? {
            unread.drain(..head_length);
            let length = request.header("content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
            while unread.len() < length {
                if !read_more(connection, unread)? {
                    return Ok(None);
                }
            }
            request.body = unread.drain(..length).collect();
            return Ok(Some(request));
        }
        if unread.len() > MAX_HEAD_BYTES || !read_more(connection, unread)? {
            return Ok(None);
        }
    }
}

fn read_more(mut connection: &TcpStream, unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    let count = connection.read(&mut buffer)?;
    unread.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect(),
        body: Vec::new(),
    };
    Ok(Some((request, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let rows = [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-5", Asked::Part(2..6)),
            ("bytes=2-99", Asked::Part(2..10)),
            ("bytes=7-", Asked::Part(7..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=0-1,4-5", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ];
        for (value, expected) in rows {
            assert_eq!(parse_range(value, 10), expected, "{value}");
        }
    }
}
