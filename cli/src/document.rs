//! YAML and JSON files → the WasmJobs in them, read as kubectl reads them.
//!
//! What a WasmJob may say is decided by `crds`; here only which documents of a file are WasmJobs.

use std::io::Read as _;
use std::path::Path;

use crds::job::WasmJob;
use crds::validate::{Violation, parse};
use serde_json::Value;

#[cfg(test)]
mod tests;

/// Larger files are refused before they are read whole: the API server takes objects of 3 MiB at most.
const LARGEST_FILE: u64 = 32 << 20;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    /// Counted from 1.
    pub(crate) number: usize,
    /// `metadata.name`, where it has one.
    pub(crate) name: Option<String>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a file holds few documents")]
pub(crate) enum Content {
    Job(WasmJob),
    Refused(Vec<Violation>),
    /// Something else than a WasmJob, by kind.
    Other(String),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to read {place}: {source}")]
    Read { place: String, source: std::io::Error },
    #[error("{place} is larger than {LARGEST_FILE} bytes: this is no job document")]
    TooLarge { place: String },
    #[error("{place} is no UTF-8 text: if it is a module, give it another extension than .yaml, .yml or .json")]
    NotText { place: String },
    #[error("{place}: {message}")]
    Syntax { place: String, message: String },
    #[error("{place} holds no WasmJob")]
    NoJob { place: String },
    #[error("{place} holds {count} WasmJobs ({names}): run them one by one, each from a file of its own")]
    ManyJobs { place: String, count: usize, names: String },
}

/// How a file is called in messages.
pub(crate) fn place(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The text of a file, or of stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            std::io::stdin().lock().take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        } else {
            std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    let bytes = read().map_err(|source| Error::Read { place: place(path), source })?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Error::TooLarge { place: place(path) });
    }
    String::from_utf8(bytes).map_err(|_| Error::NotText { place: place(path) })
}

/// Every document of a file, checked. Empty documents (a leading `---`) are not counted.
pub(crate) fn documents(text: &str, place: &str) -> Result<Vec<Document>, Error> {
    let values = crds::yaml::read(text).map_err(|error| Error::Syntax { place: place.to_owned(), message: error.to_string() })?;
    Ok(values.into_iter().enumerate().map(|(index, value)| document(index + 1, &value)).collect())
}

/// The one WasmJob of a file; documents of other kinds stand beside it unread.
pub(crate) fn only_job(text: &str, place: &str) -> Result<Document, Error> {
    let mut jobs: Vec<_> = documents(text, place)?.into_iter().filter(|document| !matches!(document.content, Content::Other(_))).collect();
    match jobs.len() {
        0 => Err(Error::NoJob { place: place.to_owned() }),
        1 => Ok(jobs.remove(0)),
        count => {
            let names: Vec<_> = jobs.iter().map(|job| job.name.as_deref().unwrap_or("unnamed")).collect();
            Err(Error::ManyJobs { place: place.to_owned(), count, names: names.join(", ") })
        }
    }
}

/// Anything that does not clearly belong to another kind is taken for a WasmJob, so that a misspelt kind is said.
fn document(number: usize, value: &Value) -> Document {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
    let group = text("/apiVersion").unwrap_or_default();
    let is_other = text("/kind").is_some() && !group.is_empty() && !group.starts_with(crds::GROUP);
    let content =
        if is_other { Content::Other(text("/kind").unwrap_or_default()) } else { parse(value).map_or_else(Content::Refused, Content::Job) };
    Document { number, name, content }
}
