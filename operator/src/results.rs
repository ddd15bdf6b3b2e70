//! Files in a node's report → the ConfigMaps that are made of them before the job's end is written. Pure: makes none.
//!
//! What an agent wrote is believed no further than what its job's spec names: neither another name nor more than a result may hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::job::{ConfigMapPublish, Place, WhatToRun};
use crds::reason::Reason;
use crds::report::{ByteString, Report};

use crate::observe::{Entry, Job};

/// A ConfigMap that a job's spec wants of one of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedConfigMap {
    pub output: String,
    pub publish: ConfigMapPublish,
}

/// The ConfigMaps of one attempt, made before the status that tells of them.
#[derive(Clone, Debug, PartialEq)]
pub struct NewConfigMaps {
    /// The attempt's.
    pub fence: Arc<str>,
    pub maps: Vec<NewConfigMap>,
}

/// A ConfigMap to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NewConfigMap {
    pub name: String,
    /// Run, index, attempt, fence and output: what tells one that is ours from any other of its name.
    pub result: String,
    pub files: BTreeMap<String, ByteString>,
}

/// Longest name of an object.
const NAME_BYTES: usize = 253;

/// Every ConfigMap that a spec wants; `None`: there is none, as in most.
pub(crate) fn wanted(what: &WhatToRun) -> Option<Arc<[WantedConfigMap]>> {
    let mut wanted = Vec::new();
    for output in what.outputs.iter().flatten() {
        for publish in &output.publish {
            if let Some(Place::ConfigMap(map)) = publish.place() {
                wanted.push(WantedConfigMap { output: output.name.clone(), publish: map.clone() });
            }
        }
    }
    Some(wanted).filter(|wanted| !wanted.is_empty()).map(Into::into)
}

/// The ConfigMaps of an attempt that is its job's result, and in the report where they will be.
///
/// # Errors
/// Why there is none to be made although the job wants it; the report is as it was.
pub(crate) fn config_maps(job: &Job, entry: &Entry, report: &mut Report) -> Result<Vec<NewConfigMap>, String> {
    let mut maps = Vec::new();
    let mut uris = Vec::new();
    for WantedConfigMap { output, publish } in job.config_maps.iter().flat_map(|wanted| wanted.iter()) {
        let Some(position) = report.results.iter().position(|result| result.name == *output) else {
            if report.outcome.reason == Reason::Completed {
                return Err(format!("the ConfigMap of output {output:?}: the report of its node has nothing of it"));
            }
            // Killed, or refused for what it left: nothing of it is published.
            continue;
        };
        let files = report.config_maps.iter().find(|files| files.output == *output);
        let files = files.ok_or_else(|| format!("the ConfigMap of output {output:?}: the report of its node has no files"))?;
        files.check().map_err(|why| format!("the ConfigMap of output {output:?}: {why}"))?;
        let name = publish.filled(&job.name, entry.run, INDEX);
        if name.len() > NAME_BYTES {
            return Err(format!("the ConfigMap of output {output:?}: its name has more than {NAME_BYTES} characters: shorten it"));
        }
        uris.push((position, format!("configmap://{}/{name}", job.namespace)));
        let result = format!("{}-{INDEX}-{}-{}/{output}", entry.run, entry.attempt, entry.fence);
        maps.push(NewConfigMap { name, result, files: files.files.clone() });
    }
    for (position, uri) in uris {
        let result = &mut report.results[position];
        match &result.uri {
            None => result.uri = Some(uri),
            Some(_) => result.more_uris.push(uri),
        }
    }
    Ok(maps)
}

/// Jobs of this version have one completion.
const INDEX: i64 = 0;

#[cfg(test)]
mod tests;
