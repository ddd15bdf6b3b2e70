//! What a spec asks of this machine, and what its guest is told: requests against what there is, limits in bytes, variables.

use crds::job::{Input, Output, WhatToRun};
use crds::quantity::ParseQuantityError;
use crds::reason::Reason;
use secrecy::ExposeSecret as _;

use crate::failure::Failure;
use crate::fetch::{FILE_OR_INLINE, in_clusters_only};
use crate::publish::OutputLimits;
use crate::runner::GuestLimits;
use crate::task::{Given, Identity, Task};

/// Refuses what names a ConfigMap or Secret still: an agent puts what it reads there into the task, and the command line has no cluster.
pub(crate) fn needs_no_cluster(task: &Task) -> Result<(), Failure> {
    let (what, local) = (&task.what, &task.local);
    if what.module.config_map.is_some() && local.module.is_none() {
        return Err(in_clusters_only("spec.module.configMap", FILE_OR_INLINE));
    }
    let is_hidden = |input: &&Input| input.secret.is_some() && !task.given.inputs.contains_key(&input.name);
    if let Some(input) = what.inputs.iter().find(is_hidden) {
        return Err(in_clusters_only(&format!("spec.inputs[{}].secret", input.name), FILE_OR_INLINE));
    }
    let is_read = |input: &&Input| input.config_map.is_some() && !local.inputs.contains_key(&input.name);
    if let Some(input) = what.inputs.iter().find(is_read) {
        return Err(in_clusters_only(&format!("spec.inputs[{}].configMap", input.name), FILE_OR_INLINE));
    }
    if let Some(variable) = what.env.iter().find(|variable| variable.value_from.is_some()) {
        return Err(in_clusters_only(&format!("spec.env[{}].valueFrom", variable.name), "write its value"));
    }
    if !what.env_from.is_empty() {
        return Err(in_clusters_only("spec.envFrom", "write its variables into env"));
    }
    if task.stdin.is_none() && what.stdin.as_ref().is_some_and(|stdin| stdin.value_from.is_some()) {
        return Err(in_clusters_only("spec.stdin.valueFrom", "write its value, or name an input"));
    }
    Ok(())
}

/// Refuses what can never run here.
pub(crate) fn fits(what: &WhatToRun) -> Result<(), Failure> {
    let Some(requests) = what.resources.as_ref().and_then(|resources| resources.requests.as_ref()) else { return Ok(()) };
    if let Some(cpu) = &requests.cpu {
        let there = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64) * 1000;
        let asked = valid(cpu.millicores("spec.resources.requests.cpu"))?;
        if asked > there {
            return Err(does_not_fit("cpu", &cpu.0, &format!("{there}m")));
        }
    }
    if let Some(memory) = &requests.memory {
        let there = total_memory().unwrap_or(u64::MAX);
        let asked = valid(memory.bytes("spec.resources.requests.memory"))?;
        if asked > there {
            return Err(does_not_fit("memory", &memory.0, &there.to_string()));
        }
    }
    Ok(())
}

fn does_not_fit(resource: &str, asked: &str, there: &str) -> Failure {
    Failure::new(
        Reason::InvalidSpec,
        format!("spec.resources.requests.{resource} asks for {asked}, this machine has {there}: ask for less, or use a larger machine"),
    )
}

/// Bytes of memory the guest may use.
pub(crate) fn memory_limit(what: &WhatToRun, default: u64) -> Result<u64, Failure> {
    let limit = what.resources.as_ref().and_then(|resources| resources.limits.as_ref()).and_then(|limits| limits.memory.as_ref());
    limit.map_or(Ok(default), |limit| valid(limit.bytes("spec.resources.limits.memory")))
}

pub(crate) fn output_limits(output: &Output, limits: &GuestLimits) -> Result<OutputLimits, Failure> {
    let bytes = match &output.size_limit {
        Some(limit) => valid(limit.bytes(&format!("spec.outputs[{}].sizeLimit", output.name)))?,
        None => limits.output_bytes,
    };
    Ok(OutputLimits { bytes, entries: limits.output_entries })
}

fn valid(quantity: Result<u64, ParseQuantityError>) -> Result<u64, Failure> {
    quantity.map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))
}

/// Bytes of memory of this machine, as the kernel tells in /proc/meminfo; `None` where it does not.
fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes: u64 = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The guest's variables: those of every job, then the spec's, which win. `PWD` makes relative paths begin at the root in every
/// language (Go takes the first mount otherwise).
pub(crate) fn environment(identity: &Identity, what: &WhatToRun, given: &Given) -> Vec<(String, String)> {
    let own = [
        ("PWD", "/".to_owned()),
        ("JOB_COMPLETION_INDEX", identity.index.to_string()),
        ("BACALHAU_PARTITION_INDEX", identity.index.to_string()),
        ("BACALHAU_PARTITION_COUNT", "1".to_owned()),
        ("WASMJOB_NAME", identity.name.clone()),
        ("WASMJOB_NAMESPACE", identity.namespace.clone()),
        ("WASMJOB_RUN", identity.run.to_string()),
        ("WASMJOB_ATTEMPT", identity.attempt.to_string()),
    ];
    let is_given = |name: &str| given.env.iter().any(|(given, _)| given == name);
    let is_set = |name: &str| what.env.iter().any(|variable| variable.name == name) || is_given(name);
    own.into_iter()
        .filter(|(name, _)| !is_set(name))
        .map(|(name, value)| (name.to_owned(), value))
        .chain(what.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())))
        .chain(given.env.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())))
        .collect()
}

#[cfg(test)]
mod tests;
