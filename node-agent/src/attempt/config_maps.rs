//! ConfigMaps, and what was given of Secrets → what a runner takes: files in a folder of this attempt, variables and stdin as they are written. Read by name, never
//! listed, when the attempt starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use crds::job::{EnvVar, WhatToRun};
use crds::reason::Reason;
use crds::secret::Granted;
use crds::source::{ConfigMapKeyRef, ConfigMapSource};
use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use runner::failure::Failure;
use runner::fetch::path::safe_path;
use runner::task::{Given, LocalSources, in_memory};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

use super::{Means, secrets};
use crate::client::{CALL, CallError, chain, within};

/// What to run, without ConfigMaps and Secrets in it.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) what: WhatToRun,
    pub(super) local: LocalSources,
    pub(super) given: Given,
    pub(super) stdin: Option<File>,
    /// Holds the files of `local`; removed when dropped.
    pub(super) folder: Option<TempDir>,
}

/// The ConfigMaps that were asked for, by name; `None`: there is none of that name.
type ConfigMaps = BTreeMap<String, Option<ConfigMap>>;

/// What to put into the attempt's folder, by its path there: a file's bytes, or `None` for a directory.
type ToWrite = (PathBuf, Option<Vec<u8>>);

/// Tries of a server that fails.
const TRIES: u32 = 3;
/// Most bytes of variables from ConfigMaps together: they travel to the worker in one message.
const VARIABLES_BYTES: usize = 1 << 20;

/// Reads the ConfigMaps that `what` names in `namespace`, and puts what they hold, and what was given of Secrets, in its place.
pub(super) async fn resolve(means: &Means, namespace: &str, what: WhatToRun, granted: &Granted) -> Result<Resolved, Failure> {
    let names = names(&what);
    let api: Api<ConfigMap> = Api::namespaced(means.client.clone(), namespace);
    let found = try_join_all(names.iter().map(|name| get(means, &api, name))).await?;
    let maps: ConfigMaps = names.into_iter().zip(found).collect();
    let files = files(&what, &maps)?;
    let Values { what, env, stdin } = values(what, &maps, granted)?;
    let given = Given { env, inputs: secrets::inputs(&what, granted)? };
    if files.is_empty() {
        return Ok(Resolved { what, local: LocalSources::default(), given, stdin, folder: None });
    }
    let root = means.scratch.clone();
    let written = tokio::task::spawn_blocking(move || write(&root, files)).await;
    let folder = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let folder = folder.map_err(|error| Failure::new(Reason::WorkerKilled, format!("failed to write ConfigMaps to the disk: {error}")))?;
    let local = local(&what, folder.path());
    Ok(Resolved { what, local, given, stdin, folder: Some(folder) })
}

/// Every ConfigMap that is named somewhere.
fn names(what: &WhatToRun) -> BTreeSet<String> {
    let sources = what.module.config_map.iter().chain(what.inputs.iter().filter_map(|input| input.config_map.as_ref()));
    let sources = sources.map(|source| &source.name);
    let from = what.env_from.iter().filter_map(|from| from.config_map_ref.as_ref()).map(|map| &map.name);
    let stdin = what.stdin.iter().filter_map(|stdin| stdin.value_from.as_ref());
    let values = what.env.iter().filter_map(|variable| variable.value_from.as_ref()).chain(stdin);
    let values = values.filter_map(|value| value.config_map_key_ref.as_ref()).map(|key| &key.name);
    sources.chain(from).chain(values).cloned().collect()
}

async fn get(means: &Means, api: &Api<ConfigMap>, name: &str) -> Result<Option<ConfigMap>, Failure> {
    let mut tried = 0;
    loop {
        let answer = {
            let _connection = means.requests.acquire().await;
            within(CALL, api.get_opt(name)).await
        };
        tried += 1;
        let error = match answer {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let reason = match error.code() {
            Some(401 | 403) => Reason::FetchDenied,
            _ if tried < TRIES => continue,
            _ if matches!(error, CallError::NoAnswer(_)) => Reason::FetchTimeout,
            _ => Reason::FetchFailed,
        };
        return Err(Failure::new(reason, format!("ConfigMap {name:?} cannot be read: {}", chain(&error))));
    }
}

/// The spec with the texts of ConfigMaps in place of their names, and what of it is hidden.
struct Values {
    what: WhatToRun,
    env: Vec<(String, SecretString)>,
    stdin: Option<File>,
}

fn values(mut what: WhatToRun, maps: &ConfigMaps, granted: &Granted) -> Result<Values, Failure> {
    let variables = variables(&mut what, maps, granted)?;
    let bytes = variables.bytes();
    if bytes > VARIABLES_BYTES {
        let message = format!("the guest's variables have {bytes} bytes, more than {VARIABLES_BYTES}: mount the ConfigMap as an input");
        return Err(Failure::new(Reason::InvalidSpec, message));
    }
    what.env = variables.open;
    let mut hidden = None;
    if let Some(stdin) = &mut what.stdin
        && let Some(from) = stdin.value_from.take()
    {
        if let Some(from) = &from.config_map_key_ref {
            // One that is optional and missing is no text: at its end from the start.
            stdin.value = Some(value("spec.stdin.valueFrom", from, maps)?.unwrap_or_default());
        }
        if let Some(from) = &from.secret_key_ref {
            let unwritten = |error| Failure::new(Reason::WorkerKilled, format!("failed to prepare stdin: {error}"));
            hidden = Some(in_memory(secrets::stdin(from, granted)?).map_err(unwritten)?);
            what.stdin = None;
        }
    }
    Ok(Values { what, env: variables.hidden, stdin: hidden })
}

/// Variables, each name once.
#[derive(Default)]
struct Variables {
    open: Vec<EnvVar>,
    hidden: Vec<(String, SecretString)>,
}

impl Variables {
    fn set(&mut self, name: String, value: String) {
        self.hidden.retain(|(hidden, _)| *hidden != name);
        match self.open.iter_mut().find(|variable| variable.name == name) {
            Some(variable) => variable.value = value,
            None => self.open.push(EnvVar { name, value, value_from: None }),
        }
    }

    fn hide(&mut self, name: String, value: SecretString) {
        self.open.retain(|variable| variable.name != name);
        self.hidden.retain(|(hidden, _)| *hidden != name);
        self.hidden.push((name, value));
    }

    fn bytes(&self) -> usize {
        let open = self.open.iter().map(|variable| variable.name.len() + variable.value.len());
        open.chain(self.hidden.iter().map(|(name, value)| name.len() + value.expose_secret().len())).sum()
    }
}

/// Takes the variables out of the spec. A later one of a name wins.
fn variables(what: &mut WhatToRun, maps: &ConfigMaps, granted: &Granted) -> Result<Variables, Failure> {
    const FROM: &str = "spec.envFrom";
    let mut variables = Variables::default();
    for from in std::mem::take(&mut what.env_from) {
        if let Some(reference) = &from.config_map_ref {
            match found(maps, &reference.name) {
                Some(map) => {
                    for (key, value) in map.data.iter().flatten() {
                        variables.set(format!("{}{key}", from.prefix), text(value, FROM, &reference.name, key)?);
                    }
                }
                None if reference.optional => {}
                None => return Err(missing(FROM, &reference.name, None)),
            }
        }
        if let Some(reference) = &from.secret_ref {
            for (key, value) in secrets::variables(FROM, reference, granted)? {
                variables.hide(format!("{}{key}", from.prefix), value);
            }
        }
    }
    for variable in std::mem::take(&mut what.env) {
        let Some(from) = &variable.value_from else {
            variables.set(variable.name, variable.value);
            continue;
        };
        let field = format!("spec.env[{}].valueFrom", variable.name);
        if let Some(from) = &from.config_map_key_ref
            && let Some(value) = value(&field, from, maps)?
        {
            variables.set(variable.name.clone(), value);
        }
        if let Some(from) = &from.secret_key_ref
            && let Some(value) = secrets::variable(&field, from, granted)?
        {
            variables.hide(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

/// The text of one key; `None`: it is missing, and may be.
fn value(field: &str, from: &ConfigMapKeyRef, maps: &ConfigMaps) -> Result<Option<String>, Failure> {
    let map = found(maps, &from.name);
    if let Some(value) = map.and_then(|map| map.data.as_ref()?.get(&from.key)) {
        return text(value, field, &from.name, &from.key).map(Some);
    }
    if map.and_then(|map| map.binary_data.as_ref()?.get(&from.key)).is_some() {
        let message =
            format!("{field}: key {:?} of ConfigMap {:?} is in binaryData, whose bytes are no text: put it into data", from.key, from.name);
        return Err(Failure::new(Reason::InvalidSpec, message));
    }
    if from.optional { Ok(None) } else { Err(missing(field, &from.name, Some(&from.key))) }
}

/// A text as a variable or stdin may hold it.
fn text(value: &str, field: &str, name: &str, key: &str) -> Result<String, Failure> {
    if value.contains('\0') {
        let message = format!("{field}: key {key:?} of ConfigMap {name:?} holds a NUL character: mount it as an input");
        return Err(Failure::new(Reason::InvalidSpec, message));
    }
    Ok(value.to_owned())
}

/// What the sources that are ConfigMaps put into the attempt's folder.
fn files(what: &WhatToRun, maps: &ConfigMaps) -> Result<Vec<ToWrite>, Failure> {
    let mut files = Vec::new();
    if let Some(source) = &what.module.config_map {
        files.extend(files_of("spec.module.configMap", source, maps, Path::new("module"))?);
    }
    for input in &what.inputs {
        if let Some(source) = &input.config_map {
            let field = format!("spec.inputs[{}].configMap", input.name);
            match files_of(&field, source, maps, &Path::new("inputs").join(&input.name)) {
                // Nothing is written: the runner does not find it, and records that.
                Err(failure) if input.optional && failure.reason == Reason::FetchNotFound => files.push(("inputs".into(), None)),
                found => files.extend(found?),
            }
        }
    }
    Ok(files)
}

fn files_of(field: &str, source: &ConfigMapSource, maps: &ConfigMaps, below: &Path) -> Result<Vec<ToWrite>, Failure> {
    let name = &source.name;
    let map = found(maps, name).ok_or_else(|| missing(field, name, source.key.as_deref()))?;
    let data = map.data.iter().flatten().map(|(key, value)| (key, value.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(key, value)| (key, value.0.as_slice()));
    let wanted = data.chain(binary).filter(|(key, _)| source.key.as_ref().is_none_or(|wanted| wanted == *key));
    let mut files = vec![(below.to_owned(), None)];
    for (key, bytes) in wanted {
        if safe_path(key).is_err() || key.contains('/') {
            return Err(Failure::new(Reason::InvalidSpec, format!("{field}: key {key:?} of ConfigMap {name:?} is no file name")));
        }
        files.push((below.join(key), Some(bytes.to_vec())));
    }
    match &source.key {
        Some(key) if files.len() == 1 => Err(missing(field, name, Some(key))),
        _ => Ok(files),
    }
}

/// The paths that stand for the sources which were ConfigMaps.
fn local(what: &WhatToRun, folder: &Path) -> LocalSources {
    let path = |below: PathBuf, source: &ConfigMapSource| source.key.as_ref().map_or(below.clone(), |key| below.join(key));
    let module = what.module.config_map.as_ref().map(|source| path(folder.join("module"), source));
    let inputs = what.inputs.iter().filter_map(|input| {
        let source = input.config_map.as_ref()?;
        Some((input.name.clone(), path(folder.join("inputs").join(&input.name), source)))
    });
    LocalSources { module, inputs: inputs.collect() }
}

fn write(root: &Path, files: Vec<ToWrite>) -> std::io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix(&format!("{}-", std::process::id())).tempdir_in(root)?;
    for (path, content) in files {
        let path = folder.path().join(path);
        match content {
            None => std::fs::create_dir_all(path)?,
            Some(bytes) => std::fs::write(path, bytes)?,
        }
    }
    Ok(folder)
}

fn found<'a>(maps: &'a ConfigMaps, name: &str) -> Option<&'a ConfigMap> {
    maps.get(name).and_then(Option::as_ref)
}

fn missing(field: &str, name: &str, key: Option<&str>) -> Failure {
    let what = match key {
        Some(key) => format!("there is no ConfigMap {name:?} with key {key:?} in the job's namespace"),
        None => format!("there is no ConfigMap {name:?} in the job's namespace"),
    };
    Failure::new(Reason::FetchNotFound, format!("{field}: {what}"))
}

#[cfg(test)]
mod tests;
