//! YAML as `kubectl` reads it: YAML 1.1 booleans and octal numbers, merge keys, streams of documents. JSON is YAML too.
//!
//! Reads into JSON values, never straight into our types: those would take the number in `args: [5]` for a text, which the API server
//! refuses. Writes the YAML that is checked in and shown.

use serde::Serialize;
use serde_json::Value;

/// The API server takes no larger object; a larger text is no spec.
const MAX_BYTES: usize = 3 * 1024 * 1024;

/// Why a text is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{bytes} bytes of YAML are more than an API server takes (3 MiB): put data into an input")]
    TooLarge { bytes: usize },
    #[error("line {line}, column {column}: {message}")]
    Malformed { line: u64, column: u64, message: String },
    #[error("{message}")]
    Unplaced { message: String },
}

/// Every document of a stream, without the empty ones.
///
/// # Errors
/// When the text is larger than 3 MiB, is not YAML, repeats a key, or expands aliases without end; with line and column.
pub fn read(text: &str) -> Result<Vec<Value>, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::TooLarge { bytes: text.len() });
    }
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| malformed(&error))
}

/// The value as YAML, always the same text for the same value.
///
/// # Errors
/// When the value has no YAML form; values made of JSON always have one.
pub fn write<T: Serialize>(value: &T) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(value)
}

fn malformed(error: &serde_saphyr::Error) -> Error {
    let message = error.to_string();
    let Some(location) = error.location() else { return Error::Unplaced { message } };
    let (line, column) = (location.line(), location.column());
    // The library says the place too, at the end of most messages.
    let message = message.replace(&format!(" at line {line}, column {column}"), "");
    Error::Malformed { line, column, message }
}

#[cfg(test)]
mod tests;
