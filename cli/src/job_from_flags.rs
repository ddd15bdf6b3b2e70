//! Flags → the `WasmJob` that YAML would have been, and flags laid over a `WasmJob` from YAML.
//!
//! Touches no file and no network: files of this machine stand beside the job, by name.

use std::path::PathBuf;

use crds::job::{EnvVar, Input, ModuleSource, Output, WasmJob, WasmJobSpec, WhatToRun};
use crds::resources::{Quantity, ResourceLimits, Resources, WasmLimits};
use runner::task::LocalSources;

use crate::args::{EnvArg, OutputArg, RunArgs};
use crate::source_arg::{InputArg, SourceArg, short_name};

#[cfg(test)]
mod tests;

/// A job, and the files of this machine that stand in for sources it does not name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LocalJob {
    pub(crate) job: WasmJob,
    pub(crate) local: LocalSources,
}

/// The job that runs this module, with nothing else said.
pub(crate) fn job_for_module(source: &SourceArg) -> LocalJob {
    let (module, file) = split(source);
    let what = WhatToRun {
        module,
        entrypoint: None,
        args: Vec::new(),
        env: Vec::new(),
        env_from: Vec::new(),
        stdin: None,
        inputs: Vec::new(),
        outputs: None,
        resources: None,
        wasm_limits: None,
        timeout_seconds: None,
    };
    let name = Some(short_name(source)).filter(|name| !name.is_empty()).unwrap_or_else(|| "wasm".to_owned());
    let spec = WasmJobSpec {
        run: what,
        backoff_limit: None,
        retry_backoff: None,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        suspend: None,
        cancel: None,
    };
    LocalJob { job: WasmJob::new(&name, spec), local: LocalSources { module: file, ..LocalSources::default() } }
}

/// Lays the flags over the job. Limits, entrypoint, stdin and args replace what is there, variables and outputs replace those of the same
/// name, inputs are added. `variable` looks up this command's own environment.
pub(crate) fn lay_over(job: LocalJob, flags: &RunArgs, variable: impl Fn(&str) -> Option<String>) -> LocalJob {
    let LocalJob { mut job, mut local } = job;
    let what = &mut job.spec.run;
    if let Some(name) = &flags.name {
        job.metadata.name = Some(name.clone());
    }
    if !flags.args.is_empty() {
        what.args.clone_from(&flags.args);
    }
    if flags.stdin.is_some() {
        what.stdin = None;
    }
    what.entrypoint = flags.entrypoint.clone().or(what.entrypoint.take());
    what.timeout_seconds = flags.timeout.or(what.timeout_seconds);
    lay_over_limits(what, flags);
    lay_over_env(&mut what.env, &flags.env, variable);
    what.outputs = with_outputs(what.outputs.take(), &flags.outputs);
    for input in &flags.inputs {
        let (input, file) = named_input(input, &what.inputs);
        local.inputs.extend(file.map(|file| (input.name.clone(), file)));
        what.inputs.push(input);
    }
    LocalJob { job, local }
}

fn lay_over_limits(what: &mut WhatToRun, flags: &RunArgs) {
    if let Some(memory) = &flags.memory {
        let resources = what.resources.get_or_insert_with(Resources::default);
        resources.limits.get_or_insert_with(ResourceLimits::default).memory = Some(Quantity(memory.clone()));
    }
    if flags.fuel.is_some() {
        what.wasm_limits.get_or_insert_with(WasmLimits::default).fuel = flags.fuel;
    }
}

/// A flag without a value takes it from this environment; where that has none the flag says nothing, as with docker.
fn lay_over_env(env: &mut Vec<EnvVar>, flags: &[EnvArg], variable: impl Fn(&str) -> Option<String>) {
    for EnvArg { name, value } in flags {
        let Some(value) = value.clone().or_else(|| variable(name)) else { continue };
        match env.iter_mut().find(|set| set.name == *name) {
            Some(set) => *set = EnvVar { name: name.clone(), value, value_from: None },
            None => env.push(EnvVar { name: name.clone(), value, value_from: None }),
        }
    }
}

/// The default output stays beside those that flags add, unless one of them takes its name or its place.
fn with_outputs(declared: Option<Vec<Output>>, flags: &[OutputArg]) -> Option<Vec<Output>> {
    if flags.is_empty() {
        return declared;
    }
    let takes_the_defaults_place = flags.iter().any(|flag| flag.mount_path.as_deref() == Some("/outputs"));
    let mut outputs = match declared {
        Some(outputs) => outputs,
        None if takes_the_defaults_place => Vec::new(),
        None => vec![output("outputs", None)],
    };
    for flag in flags {
        match outputs.iter_mut().find(|output| output.name == flag.name) {
            Some(output) => output.mount_path = flag.mount_path.clone().or(output.mount_path.take()),
            None => outputs.push(output(&flag.name, flag.mount_path.clone())),
        }
    }
    Some(outputs)
}

fn output(name: &str, mount_path: Option<String>) -> Output {
    Output { name: name.to_owned(), mount_path, size_limit: None, publish: Vec::new() }
}

fn named_input(input: &InputArg, others: &[Input]) -> (Input, Option<PathBuf>) {
    let (sources, file) = split(&input.source);
    let input = Input {
        name: free_name(&short_name(&input.source), others),
        mount_path: input.mount_path.clone(),
        http: sources.http,
        s3: sources.s3,
        ipfs: sources.ipfs,
        oci: sources.oci,
        ..Input::default()
    };
    (input, file)
}

/// `wanted`, or the first of `wanted-2`, `wanted-3`, … that no other input has.
fn free_name(wanted: &str, others: &[Input]) -> String {
    let wanted = if wanted.is_empty() { "input" } else { wanted };
    let is_taken = |name: &str| others.iter().any(|other| other.name == name);
    let mut name = wanted.to_owned();
    let mut number = 1;
    while is_taken(&name) {
        number += 1;
        name = format!("{wanted}-{number}");
    }
    name
}

/// The source fields that the API has, or the file that it has not.
fn split(source: &SourceArg) -> (ModuleSource, Option<PathBuf>) {
    let mut sources = ModuleSource::default();
    let mut file = None;
    match source.clone() {
        SourceArg::Local(path) => file = Some(path),
        SourceArg::Http(http) => sources.http = Some(http),
        SourceArg::S3(s3) => sources.s3 = Some(s3),
        SourceArg::Ipfs(ipfs) => sources.ipfs = Some(ipfs),
        SourceArg::Oci(oci) => sources.oci = Some(oci),
    }
    (sources, file)
}
