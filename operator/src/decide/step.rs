//! The ladder: one job, what of it lies on nodes, the time → what to do for it next. Reads nothing else.

use std::time::Duration;

use crds::condition::{self, RunState};
use crds::node::EndedReport;
use crds::reason::Reason;
use crds::report::Report;
use crds::status::WasmJobStatus;
use jiff::{SignedDuration, Timestamp};

use super::fold::{self, deadline, own_end};
use crate::observe::{Entry, Job, Reported, Seen};
use crate::results::{self, NewConfigMaps};

/// A job's assignment on a node, as it was last seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) node: &'a str,
    pub(crate) entry: &'a Entry,
    /// What the agent says of it; only what has the entry's fence.
    pub(crate) report: Option<&'a Reported>,
    /// The node was given up by a live look at its Lease (P10): nothing of it runs any more.
    pub(crate) given_up: bool,
    /// What it is given was sealed to a key that the node's agent has no more: it is sealed again with the next assignment (P2).
    pub(crate) is_sealed_to_another: bool,
    /// Why what it left cannot be made a ConfigMap, if that was found.
    pub(crate) unpublished: Option<&'a str>,
}

/// What to do for a job now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing until something changes, or until this time.
    Wait(Option<Timestamp>),
    /// It waits for a node.
    Enqueue,
    /// Tell the node to end it.
    Cancel,
    /// Take the assignment back: it has ended and counts.
    Release,
    /// Take the assignment back and leave this node out for a while: it refused.
    ReleaseAndAvoid,
    /// Write this status; if `live`, after a live look at the job, since no report is behind its end (P9).
    Write { status: Box<WasmJobStatus>, live: bool },
    /// Make these ConfigMaps, then write this status, which tells of them.
    Publish { status: Box<WasmJobStatus>, config_maps: Box<NewConfigMaps> },
    /// Only say that the newest spec was seen: the job has ended (P9).
    Follow,
    /// Delete the job.
    Delete,
}

/// The next step of a job that lies on a node.
pub(crate) fn with_work(job: &Job, work: &Work<'_>, now: Timestamp) -> Step {
    if job.is_finished() {
        return done_with(work);
    }
    let lost;
    let ended = match work.report.and_then(|report| report.ended.as_deref()) {
        Some(ended) => ended,
        None if work.given_up => {
            lost = node_lost(work, now);
            &lost
        }
        None => return under_way(job, work, now),
    };
    let is_folded = job.unfinished().is_some_and(|status| status.folded.iter().any(|fence| **fence == *work.entry.fence));
    if is_folded {
        return Step::Release;
    }
    let report = ended.report(work.report.and_then(|report| report.since));
    if report.outcome.reason == Reason::Refused {
        return if work.is_sealed_to_another { Step::Release } else { Step::ReleaseAndAvoid };
    }
    // What was never this run, or was another spec before the first status, counts for nothing (P2).
    if is_stale(job, work.entry) {
        return Step::Release;
    }
    ended_with(job, work, report, now)
}

/// The status of an attempt that has ended, and the ConfigMaps that are made of what it left where it is the job's result.
fn ended_with(job: &Job, work: &Work<'_>, mut report: Report, now: Timestamp) -> Step {
    let config_maps = match work.unpublished {
        Some(why) => Err(why.to_owned()),
        None => results::config_maps(job, work.entry, &mut report),
    };
    let status = fold::fold(job, work.entry, work.node, &report, now);
    match config_maps {
        Err(why) if status.is_finished() => {
            let status = fold::unpublished(job, work.entry, work.node, &report, &why, now);
            Step::Write { status: Box::new(status), live: false }
        }
        Ok(maps) if status.is_finished() && !maps.is_empty() => {
            let config_maps = Box::new(NewConfigMaps { fence: work.entry.fence.clone(), maps });
            Step::Publish { status: Box::new(status), config_maps }
        }
        _ => Step::Write { status: Box::new(status), live: false },
    }
}

/// A job that has ended: its assignment is taken back as soon as nothing of it can run any more.
fn done_with(work: &Work<'_>) -> Step {
    if work.given_up || work.report.is_some_and(|report| report.ended.is_some()) {
        Step::Release
    } else if work.entry.cancel {
        Step::Wait(None)
    } else {
        Step::Cancel
    }
}

fn node_lost(work: &Work<'_>, now: Timestamp) -> EndedReport {
    let message = format!("{} stopped renewing its Lease; its guests killed themselves and the work is given to another node", work.node);
    EndedReport::without_guest(Reason::NodeLost, &message, now)
}

fn is_stale(job: &Job, entry: &Entry) -> bool {
    entry.run != job.run() || *entry.spec_hash != *job.spec_hash.hex()
}

fn under_way(job: &Job, work: &Work<'_>, now: Timestamp) -> Step {
    let unwanted = job.deleting || job.policy.suspend || is_stale(job, work.entry) || own_end(job, now).is_some();
    if unwanted && !work.entry.cancel {
        return Step::Cancel;
    }
    match work.report {
        Some(running) if !unwanted && !says(job, Reason::Running) => {
            let since = running.since.unwrap_or(now);
            let message = format!("attempt {} runs on {}", work.entry.attempt, work.node);
            let state = RunState::Running { since, message: &message };
            Step::Write { status: Box::new(fold::without_report(job, state, work.entry.attempt, now)), live: false }
        }
        _ => Step::Wait(if unwanted { None } else { deadline(job) }),
    }
}

/// The next step of a job of which nothing lies on a node.
pub(crate) fn without_work(job: &Job, now: Timestamp) -> Step {
    if let Seen::Finished { at, observed_generation, .. } = job.status {
        return if observed_generation == job.generation { after_the_end(job, at, now) } else { Step::Follow };
    }
    if job.deleting {
        return Step::Wait(None);
    }
    let attempt = super::retry::next_attempt(&fold::tries(job));
    if stands(job, Reason::Suspended) && !job.policy.suspend && !job.policy.cancel {
        return Step::Write { status: Box::new(resumed(job, attempt, now)), live: false };
    }
    if let Some((reason, message)) = own_end(job, now) {
        let since = job.unfinished().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        let state = RunState::Stopped { reason, message: &message, since, at: now, last: None };
        return Step::Write { status: Box::new(fold::without_report(job, state, attempt, now)), live: true };
    }
    if job.policy.suspend {
        if says(job, Reason::Suspended) {
            return Step::Wait(None);
        }
        return Step::Write { status: Box::new(fold::without_report(job, fold::suspended(), attempt, now)), live: false };
    }
    match fold::tries(job).not_before {
        Some(at) if at.0 > now => Step::Wait(Some(deadline(job).map_or(at.0, |deadline| deadline.min(at.0)))),
        _ => Step::Enqueue,
    }
}

/// The job ends since there will be no assignment of it (P13), whatever the reason.
pub(crate) fn refused(job: &Job, reason: Reason, why: &str, now: Timestamp) -> Step {
    let since = job.unfinished().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let state = RunState::Stopped { reason, message: why, since, at: now, last: None };
    let attempt = super::retry::next_attempt(&fold::tries(job));
    Step::Write { status: Box::new(fold::without_report(job, state, attempt, now)), live: true }
}

/// A resumed job has all of its time again.
fn resumed(job: &Job, attempt: i32, now: Timestamp) -> WasmJobStatus {
    let mut status = fold::without_report(job, RunState::Pending { message: "resumed; waits for a node" }, attempt, now);
    status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    status
}

fn after_the_end(job: &Job, at: Timestamp, now: Timestamp) -> Step {
    let Some(ttl) = job.policy.ttl_seconds_after_finished else { return Step::Wait(None) };
    match at.checked_add(SignedDuration::from_secs(ttl)) {
        Ok(until) if until > now => Step::Wait(Some(until)),
        Ok(_) if !job.deleting => Step::Delete,
        _ => Step::Wait(None),
    }
}

/// Whether the job's status, as it was last seen, says so of this generation.
fn says(job: &Job, reason: Reason) -> bool {
    stands(job, reason) && job.unfinished().is_some_and(|status| status.observed_generation == Some(job.generation))
}

/// Whether the job's status, as it was last seen, says so of any generation.
fn stands(job: &Job, reason: Reason) -> bool {
    let conditions = job.unfinished().into_iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == condition::FINISHED && condition.reason == reason.name())
}

/// How long a node that refused an entry is left out for that job.
pub(crate) const AVOID_AFTER_REFUSAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
