//! The YAML that a cluster would take for a job, with a note for each file that only this machine has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crds::digest::Digest;
use crds::job::{Input, ModuleSource, Stdin, WasmJob};
use crds::source::{HttpSource, S3Source};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::job_from_flags::LocalJob;

#[cfg(test)]
mod tests;

/// Largest module that a job carries itself, in bytes.
const INLINE_BYTES: u64 = 32 << 10;
/// Stands where a file of this machine has to be put for a cluster to reach it.
const PLACEHOLDER_HOST: &str = "https://replace-me.example/";
const PLACEHOLDER_BUCKET: &str = "replace-me";

/// A job as a cluster takes it, and what is still to be done by hand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) job: WasmJob,
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to read {path:?}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} is no text: a job's stdin.value is; give the file as an input instead, and stdin.input in the YAML")]
    StdinNotText { path: PathBuf },
}

/// The job with a source for every file of this machine, so that it can be checked as the API server would. Reads nothing.
pub(crate) fn with_placeholders(job: &LocalJob) -> WasmJob {
    let LocalJob { mut job, local } = job.clone();
    if let Some(path) = &local.module {
        job.spec.run.module = ModuleSource { http: Some(placeholder(path)), ..job.spec.run.module };
    }
    for input in &mut job.spec.run.inputs {
        if let Some(path) = local.inputs.get(&input.name) {
            stand_in(input, path);
        }
    }
    job
}

/// What is sent to a cluster in place of this job: a small module is carried inline, `stdin` is the flag's file.
pub(crate) fn for_cluster(job: &LocalJob, stdin: Option<&Path>) -> Result<Sent, Error> {
    let mut sent = Sent { job: with_placeholders(job), notes: Vec::new() };
    let what = &mut sent.job.spec.run;
    if let Some(path) = &job.local.module {
        let (module, note) = carried(path)?;
        what.module = module;
        sent.notes.extend(note);
    }
    for (name, path) in &job.local.inputs {
        sent.notes.push(format!("input {name}: {} is only on this machine; upload it and put its address in the input", path.display()));
    }
    if let Some(path) = stdin {
        what.stdin = Some(Stdin { value: Some(text_of(path)?), ..Stdin::default() });
    }
    Ok(sent)
}

/// The YAML, its notes first.
pub(crate) fn yaml(sent: &Sent) -> String {
    let notes = sent.notes.iter().map(|note| format!("# {}\n", note.replace(|c: char| c.is_control(), " ")));
    notes.collect::<String>() + &crds::yaml::write(&sent.job).expect("a job is maps, lists, strings and numbers")
}

/// The module itself where it is small, else a place for its URL and its digest.
fn carried(path: &Path) -> Result<(ModuleSource, Option<String>), Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() <= INLINE_BYTES {
        let bytes = fs::read(path).map_err(failed)?;
        return Ok((ModuleSource { inline: Some(BASE64.encode(bytes)), ..ModuleSource::default() }, None));
    }
    let mut hasher = Sha256::new();
    io::copy(&mut fs::File::open(path).map_err(failed)?, &mut hasher).map_err(failed)?;
    let digest = Digest::from_bytes(hasher.finalize().into());
    let note = format!("module: {} is too large to be carried inline; upload it and put its URL in spec.module.http.url", path.display());
    Ok((ModuleSource { http: Some(placeholder(path)), digest: Some(digest), ..ModuleSource::default() }, Some(note)))
}

fn stand_in(input: &mut Input, path: &Path) {
    if path.is_dir() {
        let name = path.file_name().map_or_else(|| input.name.clone(), |name| name.to_string_lossy().into_owned());
        let prefix = Some(format!("{name}/"));
        input.s3 = Some(S3Source { bucket: PLACEHOLDER_BUCKET.to_owned(), prefix, ..S3Source::default() });
    } else {
        input.http = Some(placeholder(path));
    }
}

fn placeholder(path: &Path) -> HttpSource {
    let mut url = Url::parse(PLACEHOLDER_HOST).expect("the constant is a URL");
    let name = path.file_name().map_or_else(|| "file".into(), |name| name.to_string_lossy());
    url.path_segments_mut().expect("https URLs have segments").pop_if_empty().push(&name);
    HttpSource { url: url.to_string() }
}

fn text_of(path: &Path) -> Result<String, Error> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let bytes = bytes.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|_| Error::StdinNotText { path: path.to_owned() })
}
