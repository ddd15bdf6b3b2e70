//! The task's sources → what is on this machine: the module, the inputs' trees, stdin.
//!
//! Local files and directories (the command line's) go through the store as everything else does.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crds::digest::Digest;
use crds::job::Input;
use crds::reason::Reason;
use crds::source::Source;
use futures_util::future::try_join_all;
use secrecy::ExposeSecret as _;

use crate::failure::Failure;
use crate::fetch::path::safe_path;
use crate::fetch::{Fetcher, Tree, TreeFile};
use crate::store::{Blob, Store};
use crate::task::{Task, in_memory};

/// The module's bytes, verified.
pub(crate) async fn module(fetcher: &Fetcher, task: &Task) -> Result<Blob, Failure> {
    let limit = fetcher.config().limits.module_bytes;
    if let Some(path) = &task.local.module {
        let (store, path, digest) = (fetcher.store().clone(), path.clone(), task.what.module.digest);
        return blocking(move || import(&store, &path, digest.as_ref(), limit, "the module")).await;
    }
    let source = task.what.module.source().ok_or_else(|| no_source("spec.module"))?;
    let module = fetcher.file(source, task.what.module.digest.as_ref(), limit, &task.observer.progress).await;
    module.map(|module| module.blob).map_err(|failure| named("spec.module", failure))
}

/// The inputs' trees, in the spec's order, fetched side by side; and the names of those whose source has nothing there and need not have.
pub(crate) async fn inputs(fetcher: &Fetcher, task: &Task) -> Result<(Vec<Tree>, Vec<String>), Failure> {
    let inputs = &task.what.inputs;
    let found = try_join_all(inputs.iter().map(|one| input(fetcher, task, one))).await?;
    let absent = inputs.iter().zip(&found).filter(|(_, tree)| tree.is_none()).map(|(input, _)| input.name.clone()).collect();
    Ok((found.into_iter().map(Option::unwrap_or_default).collect(), absent))
}

async fn input(fetcher: &Fetcher, task: &Task, input: &Input) -> Result<Option<Tree>, Failure> {
    let tree = match packed(fetcher, task, input).await {
        Err(failure) if input.optional && failure.reason == Reason::FetchNotFound => return Ok(None),
        packed => packed?,
    };
    let Some(unpack) = input.unpack else { return Ok(Some(tree)) };
    let unpacked = fetcher.unpack(&tree, unpack).await;
    unpacked.map(Some).map_err(|failure| named(&format!("spec.inputs[{}]", input.name), failure))
}

/// The input's files before any of them is unpacked.
async fn packed(fetcher: &Fetcher, task: &Task, input: &Input) -> Result<Tree, Failure> {
    let field = format!("spec.inputs[{}]", input.name);
    if task.given.inputs.contains_key(&input.name) {
        // Its files are put straight into the attempt's own directory.
        return Ok(Tree { directories: Vec::new(), files: Vec::new() });
    }
    if let Some(path) = task.local.inputs.get(&input.name) {
        let (store, path, input) = (fetcher.store().clone(), path.clone(), input.clone());
        let limits = fetcher.config().limits.clone();
        return blocking(move || local_tree(&store, &path, &input, limits.input_bytes, limits.input_entries)).await;
    }
    let source = input.source().ok_or_else(|| no_source(&field))?;
    let tree = fetcher.tree(source, &input.name, input.digest.as_ref(), &task.observer.progress).await;
    tree.map_err(|failure| named(&field, failure))
}

fn named(field: &str, failure: Failure) -> Failure {
    Failure { message: format!("{field}: {}", failure.message), ..failure }
}

fn no_source(field: &str) -> Failure {
    Failure::new(Reason::InvalidSpec, format!("{field} names no source, or more than one: give exactly one of http, s3, ipfs, oci, inline"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::new(Reason::FetchFailed, format!("reading was interrupted: {error}"))),
    }
}

/// Copies a local file into the store.
fn import(store: &Store, path: &Path, expected: Option<&Digest>, limit: u64, what: &str) -> Result<Blob, Failure> {
    let unread = |error: std::io::Error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => Reason::FetchNotFound,
            std::io::ErrorKind::PermissionDenied => Reason::FetchDenied,
            _ => Reason::FetchFailed,
        };
        Failure::new(reason, format!("failed to read {what} {}: {error}", path.display()))
    };
    let stored =
        |error: &dyn std::error::Error| Failure::new(Reason::FetchFailed, format!("failed to keep {what} {}: {error}", path.display()));
    let mut file = File::open(path).map_err(unread)?;
    let size = file.metadata().map_err(unread)?.len();
    if size > limit {
        return Err(Failure::new(
            Reason::FetchTooLarge,
            format!("{what} {} has {size} bytes, more than the {limit} that are allowed", path.display()),
        ));
    }
    let mut writer = store.writer().map_err(|error| stored(&error))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(unread)? {
            0 => break,
            read => writer.write(&buffer[..read]).map_err(|error| stored(&error))?,
        }
    }
    let blob = writer.finish().map_err(|error| stored(&error))?;
    match expected {
        Some(expected) if *expected != blob.digest() => Err(Failure::new(
            Reason::DigestMismatch,
            format!(
                "{what} {} has digest {}, expected {expected}: give the digest of the file that is meant, or leave it out",
                path.display(),
                blob.digest()
            ),
        )),
        _ => Ok(blob),
    }
}

/// A local file or directory as an input. Links to files are followed: it is the user's own machine; links to directories are not.
fn local_tree(store: &Store, path: &Path, input: &Input, limit: u64, entries: u64) -> Result<Tree, Failure> {
    let what = format!("input {:?}", input.name);
    if !path.is_dir() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(&input.name).to_owned();
        let blob = import(store, path, input.digest.as_ref(), limit, &what)?;
        return Ok(Tree { directories: Vec::new(), files: vec![TreeFile { path: name, blob }] });
    }
    if input.digest.is_some() {
        return Err(Failure::new(Reason::InvalidSpec, format!("{what} is a directory: a digest is that of one file; leave it out")));
    }
    let mut tree = Tree { directories: Vec::new(), files: Vec::new() };
    let mut left = limit;
    let mut pending = vec![(path.to_owned(), String::new())];
    while let Some((directory, below)) = pending.pop() {
        for entry in std::fs::read_dir(&directory).map_err(|error| unlisted(&what, &directory, &error))? {
            let entry = entry.map_err(|error| unlisted(&what, &directory, &error))?;
            let name = entry.file_name().into_string().map_err(|name| odd(&what, &name.to_string_lossy()))?;
            let relative = if below.is_empty() { name } else { format!("{below}/{name}") };
            safe_path(&relative).map_err(|_| odd(&what, &relative))?;
            if (tree.files.len() + tree.directories.len()) as u64 >= entries {
                return Err(Failure::new(
                    Reason::FetchTooLarge,
                    format!("{what} {} holds more than {entries} files: name a smaller directory", path.display()),
                ));
            }
            let kind = entry.file_type().map_err(|error| unlisted(&what, &entry.path(), &error))?;
            if kind.is_dir() {
                pending.push((entry.path(), relative.clone()));
                tree.directories.push(relative);
            } else {
                let blob = import(store, &entry.path(), None, left, &what)?;
                left -= blob.size_bytes().min(left);
                tree.files.push(TreeFile { path: relative, blob });
            }
        }
    }
    Ok(tree)
}

fn unlisted(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Reason::FetchFailed, format!("failed to read {what} {}: {error}", path.display()))
}

fn odd(what: &str, name: &str) -> Failure {
    Failure::new(Reason::FetchFailed, format!("{what} holds {name:?}: rename it to a name without control characters"))
}

/// What the guest reads, where the caller gives no file.
pub(crate) fn stdin(task: &Task, trees: &[Tree]) -> Result<File, Failure> {
    let what = &task.what;
    let failed = |error: std::io::Error| Failure::new(Reason::WorkerKilled, format!("failed to prepare stdin: {error}"));
    let Some(stdin) = &what.stdin else { return File::open("/dev/null").map_err(failed) };
    if let Some(value) = &stdin.value {
        return in_memory(value.as_bytes()).map_err(failed);
    }
    let missing = |message: String| Failure::new(Reason::InvalidSpec, format!("spec.stdin.input: {message}"));
    let named = stdin.input.as_ref().ok_or_else(|| missing("give spec.stdin a value or an input".to_owned()))?;
    let position = what.inputs.iter().position(|input| input.name == named.name);
    if let Some(files) = task.given.inputs.get(&named.name) {
        let value = match (&named.path, files.len()) {
            (Some(path), _) => files.get(path.trim_start_matches('/')),
            (None, 1) => files.values().next(),
            (None, count) => return Err(missing(format!("input {:?} holds {count} files: set spec.stdin.input.path", named.name))),
        };
        let value = value
            .ok_or_else(|| missing(format!("input {:?} holds no file {:?}", named.name, named.path.as_deref().unwrap_or_default())))?;
        return in_memory(value.expose_secret()).map_err(failed);
    }
    let tree = position.and_then(|position| trees.get(position)).ok_or_else(|| missing(format!("there is no input {:?}", named.name)))?;
    // An input that may be absent, and is, is at its end from the start.
    if position.is_some_and(|position| what.inputs[position].optional) && *tree == Tree::default() {
        return File::open("/dev/null").map_err(failed);
    }
    let file = match (&named.path, tree.files.as_slice()) {
        (Some(path), files) => files.iter().find(|file| file.path == path.trim_start_matches('/')),
        (None, [only]) => Some(only),
        (None, files) => return Err(missing(format!("input {:?} holds {} files: set spec.stdin.input.path", named.name, files.len()))),
    };
    let file =
        file.ok_or_else(|| missing(format!("input {:?} holds no file {:?}", named.name, named.path.as_deref().unwrap_or_default())))?;
    file.blob.open().map_err(failed)
}

/// `argv[0]`: the module's file name.
pub(crate) fn module_name(task: &Task) -> String {
    let last = |text: &str| text.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let name = match (&task.local.module, task.what.module.source()) {
        (Some(path), _) => path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        (None, Some(Source::Http(http))) => url::Url::parse(&http.url).map(|url| last(url.path())).unwrap_or_default(),
        (None, Some(Source::S3(s3))) => last(s3.key.as_deref().unwrap_or_default()),
        (None, Some(Source::Ipfs(ipfs))) => last(ipfs.path.as_deref().unwrap_or_default()),
        (None, Some(Source::Oci(oci))) => oci.repository_name().to_owned(),
        (None, Some(Source::ConfigMap(map))) => map.key.clone().unwrap_or_default(),
        (None, Some(Source::Inline(_)) | None) => String::new(),
    };
    if name.is_empty() { "module.wasm".to_owned() } else { name }
}
