//! Conditions: the one function by which a run's state reaches every reader.
//!
//! Readers and what they look at: `kubectl wait` (a condition's status, and that its `observedGeneration` is current), kstatus in Flux and
//! Helm (`Reconciling`, then `Stalled`, then `Ready`), those who come from `batch/v1` (`Complete`, `Failed`), pipelines that wait for either
//! (`Finished`), people (reason and message). Reads no clock.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::reason::Reason;
use crate::report::Report;
use crate::status::{MESSAGE_BYTES, duration_text};
use crate::text;

/// Always there; True when the run has ended, however it ended. Its reason is how the job stands.
pub const FINISHED: &str = "Finished";
/// True when the run has succeeded; absent otherwise.
pub const COMPLETE: &str = "Complete";
/// True when the run has failed for good; absent otherwise.
pub const FAILED: &str = "Failed";
/// True on success, False on failure, Unknown before.
pub const READY: &str = "Ready";
/// True while the run is to start or under way; absent otherwise.
pub const RECONCILING: &str = "Reconciling";
/// True when only a person can help; absent otherwise.
pub const STALLED: &str = "Stalled";
/// True while the job is suspended; absent otherwise.
pub const SUSPENDED: &str = "Suspended";
/// False while no node can take the job, with why, node by node; absent otherwise.
pub const SCHEDULED: &str = "Scheduled";

/// How a run stands.
#[derive(Clone, Copy, Debug)]
pub enum RunState<'a> {
    /// Nothing has started. The message says what it waits for.
    Pending { message: &'a str },
    /// No node can take it. The message says why, node by node.
    Unschedulable { message: &'a str },
    /// Nothing of it runs, because its spec says so.
    Suspended { message: &'a str },
    /// Under way. The message says what is being done.
    Running { since: Timestamp, message: &'a str },
    /// Over, with the attempt that is its result.
    Ended(&'a Report),
    /// Over, for a reason of the job's own (a deadline, a cancellation, too many failures), at this time. `last` is the newest attempt,
    /// whose output and module are shown.
    Stopped { reason: Reason, message: &'a str, since: Option<Timestamp>, at: Timestamp, last: Option<&'a Report> },
}

/// The conditions of a run. `generation` is the spec's that it runs, `before` are the conditions that these replace.
///
/// # Guarantees
/// Every condition carries `generation`. A condition whose status is the one it had keeps its `lastTransitionTime`; any other gets `now`.
/// `Complete`, `Failed`, `Reconciling` and `Stalled` are there only when true. The order is always the same.
pub fn of_run(state: &RunState<'_>, generation: i64, now: Timestamp, before: &[Condition]) -> Vec<Condition> {
    let (reason, message) = reason_and_message(state);
    let condition = |(type_, status, reason): &(&str, &str, Reason)| Condition {
        type_: (*type_).to_owned(),
        status: (*status).to_owned(),
        reason: reason.name().to_owned(),
        message: message.clone(),
        observed_generation: Some(generation),
        last_transition_time: Time(transition_time(type_, status, now, before)),
    };
    types_and_statuses(state, reason).iter().map(condition).collect()
}

fn types_and_statuses(state: &RunState<'_>, reason: Reason) -> Vec<(&'static str, &'static str, Reason)> {
    let with = |list: &[(&'static str, &'static str)]| list.iter().map(|&(type_, status)| (type_, status, reason)).collect::<Vec<_>>();
    let unfinished = [(FINISHED, "False"), (READY, "Unknown"), (RECONCILING, "True")];
    match state {
        RunState::Pending { .. } | RunState::Running { .. } => with(&unfinished),
        RunState::Unschedulable { .. } => {
            let mut list = with(&unfinished);
            list.push((SCHEDULED, "False", Reason::Unschedulable));
            list
        }
        // Nothing will happen until somebody resumes it; whoever waits for the job still waits.
        RunState::Suspended { .. } => with(&[(FINISHED, "False"), (READY, "Unknown"), (RECONCILING, "True"), (SUSPENDED, "True")]),
        RunState::Ended(_) | RunState::Stopped { .. } if reason == Reason::Completed => {
            with(&[(FINISHED, "True"), (COMPLETE, "True"), (READY, "True")])
        }
        RunState::Ended(_) | RunState::Stopped { .. } => with(&[(FINISHED, "True"), (FAILED, "True"), (READY, "False"), (STALLED, "True")]),
    }
}

fn reason_and_message(state: &RunState<'_>) -> (Reason, String) {
    match state {
        RunState::Pending { message } | RunState::Unschedulable { message } => (Reason::Pending, text::head(message, MESSAGE_BYTES)),
        RunState::Suspended { message } => (Reason::Suspended, text::head(message, MESSAGE_BYTES)),
        RunState::Running { message, .. } => (Reason::Running, text::head(message, MESSAGE_BYTES)),
        RunState::Ended(report) if report.outcome.message.is_empty() => {
            (report.outcome.reason, format!("ended after {}", duration_text(report.start_time, report.finish_time)))
        }
        RunState::Ended(report) => (report.outcome.reason, text::head(&report.outcome.message, MESSAGE_BYTES)),
        RunState::Stopped { reason, message, .. } => (*reason, text::head(message, MESSAGE_BYTES)),
    }
}

fn transition_time(type_: &str, status: &str, now: Timestamp, before: &[Condition]) -> Timestamp {
    before
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == status)
        .map_or(now, |condition| condition.last_transition_time.0)
}

/// The schema of `status.conditions`: `metav1.Condition` with its own bounds, described for readers of this kind.
pub(crate) fn list_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "object",
            "description": "One aspect of how the job stands.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "type": "string",
                    "maxLength": 316,
                    "description": "What it is about: Finished, Complete, Failed, Ready, Reconciling, Stalled, Suspended or Scheduled.",
                },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown." },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 64,
                    "description": "Why, in one word; each has a page in the documentation.",
                },
                "message": {
                    "type": "string",
                    "maxLength": 1024,
                    "description": "Why, in a sentence that says what to do next.",
                },
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When status last changed.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "description": "Generation of the spec that this is about.",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;
