//! The part of `metadata` that the API server checks for every kind and that people write: names, namespace, labels.

use serde_json::Value;

use super::{Violation, message, violation};

pub(super) fn violations(job: &Value) -> Vec<Violation> {
    let metadata = &job["metadata"];
    let mut found = Vec::new();
    match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        (Some(name), _) if !subdomain(name) => found.push(violation(
            "metadata.name",
            &format!(
                "{:?} is no DNS-1123 subdomain: write lower-case letters, digits, - and ., with a letter or digit at both ends of each part",
                crate::text::head(name, 80)
            ),
        )),
        (None, None) if !metadata["name"].is_object() => found.push(violation("metadata.name", "is required: name the job")),
        _ => {}
    }
    if let Some(namespace) = metadata["namespace"].as_str().filter(|namespace| !label(namespace)) {
        let message = format!("{:?} is no namespace's name: write lower-case letters, digits and -", crate::text::head(namespace, 80));
        found.push(violation("metadata.namespace", &message));
    }
    found.extend(metadata["labels"].as_object().into_iter().flatten().filter_map(|(key, value)| label_violation(key, value)));
    found
}

fn label_violation(key: &str, value: &Value) -> Option<Violation> {
    let field = message::join("metadata.labels", &crate::text::head(key, 80));
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.is_empty() || !label_text(name) || prefix.is_some_and(|prefix| !subdomain(prefix)) {
        return Some(violation(
            &field,
            "is no label key: write letters, digits, -, _ and ., at most 63, optionally after a domain and a /",
        ));
    }
    let value = value.as_str()?;
    (!label_text(value))
        .then(|| violation(&field, "is no label value: write at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"))
}

/// RFC 1123 subdomain, at most 253 characters.
fn subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|part| part.len() <= 253 && lower_case_part(part))
}

/// RFC 1123 label, at most 63 characters.
fn label(text: &str) -> bool {
    text.len() <= 63 && lower_case_part(text)
}

fn lower_case_part(part: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    !part.is_empty()
        && part.bytes().all(|c| plain(c) || c == b'-')
        && [part.bytes().next(), part.bytes().last()].into_iter().flatten().all(plain)
}

/// A label's value or a key's name; may be empty.
fn label_text(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.bytes().all(|c| plain(c) || matches!(c, b'-' | b'_' | b'.'))
        && [text.bytes().next(), text.bytes().last()].into_iter().flatten().all(plain)
}
