//! What a file from a URL is called: `Content-Disposition` (RFC 6266, RFC 8187), else the last segment of the URL's path.

use percent_encoding::percent_decode;
use url::Url;

use crate::fetch::path::file_name;

/// The safe name in a `Content-Disposition` header; `filename*` goes before `filename`.
pub(super) fn of_disposition(header: &[u8]) -> Option<String> {
    let header = String::from_utf8_lossy(header);
    let parameters = parameters(&header);
    let find = |wanted: &str| parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
    find("filename*").and_then(extended).and_then(|name| file_name(&name)).or_else(|| find("filename").and_then(file_name))
}

/// The safe name that ends the path of a URL.
pub(super) fn of_url(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    file_name(&percent_decode(last.as_bytes()).decode_utf8().ok()?)
}

/// `charset'language'percent-encoded`, in the two charsets that a recipient must know.
fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, encoded) = (parts.next()?, parts.nth(1)?);
    let bytes = percent_decode(encoded.as_bytes());
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => bytes.decode_utf8().ok().map(std::borrow::Cow::into_owned),
        "iso-8859-1" => Some(bytes.map(char::from).collect()),
        _ => None,
    }
}

/// The `name=value` pairs after the disposition type, quoted values unquoted.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => after.split_once(';').map_or((after.trim().to_owned(), ""), |(value, after)| (value.trim().to_owned(), after)),
        };
        found.push((name.trim_matches([' ', '\t', ';']).to_owned(), value));
        rest = after.trim_start_matches([' ', '\t', ';']);
    }
    found
}

/// The text up to the closing quote, backslash escapes undone, and what follows it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            // Senders that mean a Windows path do not escape its backslashes; only quotes and backslashes can be meant.
            '\\' => match chars.clone().next() {
                Some((_, escaped @ ('"' | '\\'))) => {
                    chars.next();
                    value.push(escaped);
                }
                _ => value.push(c),
            },
            _ => value.push(c),
        }
    }
    (value, "")
}
