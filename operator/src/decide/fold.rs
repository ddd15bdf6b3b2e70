//! An attempt's report → the job's next status. Once per fence (P7), and within a run an end is final (P9).

use crds::condition::RunState;
use crds::reason::Reason;
use crds::report::Report;
use crds::status::{RetryStatus, Run, WasmJobStatus, duration_text};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::retry::{self, Verdict};
use crate::observe::{Entry, Job};

/// Fences that a status holds; entries are taken back long before there are so many.
const MOST_FOLDED: usize = 16;

/// Why a job ends although no attempt of it says so.
pub(crate) fn own_end(job: &Job, now: Timestamp) -> Option<(Reason, String)> {
    if job.policy.cancel {
        return Some((Reason::Cancelled, "cancelled by spec.cancel".to_owned()));
    }
    let deadline = deadline(job)?;
    let seconds = job.policy.active_deadline_seconds?;
    (now >= deadline).then(|| {
        (
            Reason::DeadlineExceeded,
            format!("not done {seconds}s after its start: raise activeDeadlineSeconds, or see status.attempts for what took so long"),
        )
    })
}

/// When the job is ended, however it stands. Time suspended does not count.
pub(crate) fn deadline(job: &Job) -> Option<Timestamp> {
    let seconds = job.policy.active_deadline_seconds.filter(|_| !job.policy.suspend)?;
    let started = job.unfinished().and_then(|status| status.start_time.as_ref()).map_or(job.created, |time| time.0);
    started.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Tries of the job so far.
pub(crate) fn tries(job: &Job) -> RetryStatus {
    let before = job.unfinished().and_then(|status| status.retries.first());
    before.cloned().unwrap_or_else(|| RetryStatus { indexes: "0".to_owned(), ..RetryStatus::default() })
}

/// The status after this report.
pub(crate) fn fold(job: &Job, entry: &Entry, node: &str, report: &Report, now: Timestamp) -> WasmJobStatus {
    let before = job.unfinished();
    let of = |state: RunState<'_>| {
        let run = Run { number: job.run(), generation: job.generation, state, attempt: entry.attempt, node_name: Some(node) };
        WasmJobStatus::of_run(&run, now, before)
    };
    let stopped = |reason, message: &str| {
        let at = report.finish_time.max(started(job, report));
        of(RunState::Stopped { reason, message, since: Some(started(job, report)), at, last: Some(report) })
    };
    let status = if report.outcome.reason == Reason::Completed {
        of(RunState::Ended(report))
    } else if let Some((reason, message)) = own_end(job, now) {
        stopped(reason, &message)
    } else {
        match verdict(job, report) {
            Verdict::Final => of(RunState::Ended(report)),
            Verdict::Exhausted { failures } => stopped(
                Reason::BackoffLimitExceeded,
                &format!("failed {failures} times, backoffLimit is {}; the last: {}", job.policy.backoff_limit, last_words(report)),
            ),
            Verdict::Again(tries) => again(job, entry, node, report, tries, now),
        }
    };
    of_this_run(status, job)
}

/// The status after this report where the ConfigMap that it should have become cannot be made. Whoever made the other one of its name, or
/// lets none be made, does so the next time too: nothing is tried again for it.
pub(crate) fn unpublished(job: &Job, entry: &Entry, node: &str, report: &Report, why: &str, now: Timestamp) -> WasmJobStatus {
    if report.outcome.reason != Reason::Completed {
        let mut report = report.clone();
        report.outcome.message = format!("{}; its outputs: {why}", last_words(&report));
        return fold(job, entry, node, &report, now);
    }
    let (since, last) = (Some(started(job, report)), Some(report));
    let state =
        RunState::Stopped { reason: Reason::PublishFailed, message: why, since, at: report.finish_time.max(started(job, report)), last };
    let run = Run { number: job.run(), generation: job.generation, state, attempt: entry.attempt, node_name: Some(node) };
    of_this_run(WasmJobStatus::of_run(&run, now, job.unfinished()), job)
}

fn started(job: &Job, report: &Report) -> Timestamp {
    let before = job.unfinished().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    before.unwrap_or(report.start_time)
}

/// A cancellation that the job does not know is somebody's at the node: it ends no job (P16).
fn verdict(job: &Job, report: &Report) -> Verdict {
    let reason = if report.outcome.reason == Reason::Cancelled { Reason::Disrupted } else { report.outcome.reason };
    retry::count(&tries(job), reason, report.finish_time, &job.policy)
}

fn last_words(report: &Report) -> String {
    let outcome = &report.outcome;
    if outcome.message.is_empty() { outcome.reason.name().to_owned() } else { format!("{}: {}", outcome.reason, outcome.message) }
}

/// The job waits for its next attempt, or for somebody to resume it.
fn again(job: &Job, entry: &Entry, node: &str, report: &Report, tries: RetryStatus, now: Timestamp) -> WasmJobStatus {
    let before = job.unfinished();
    let next = retry::next_attempt(&tries);
    let message = match &tries.not_before {
        Some(at) => format!(
            "attempt {} on {node} ended with {}; attempt {next} starts in {}",
            entry.attempt,
            last_words(report),
            duration_text(now, at.0)
        ),
        None => format!("attempt {} on {node} ended with {}; attempt {next} waits for a node", entry.attempt, last_words(report)),
    };
    let state = if job.policy.suspend { suspended() } else { RunState::Pending { message: &message } };
    let run = Run { number: job.run(), generation: job.generation, state, attempt: entry.attempt, node_name: Some(node) };
    let mut status = WasmJobStatus::of_run(&run, now, before);
    status.start_time = Some(Time(started(job, report)));
    status.attempts = before.map(|status| status.attempts.clone()).unwrap_or_default();
    status = status.with_attempt(report, &run);
    status.retries = vec![tries];
    status.folded = before.map(|status| status.folded.clone()).unwrap_or_default();
    status.folded.insert(0, entry.fence.to_string());
    status.folded.truncate(MOST_FOLDED);
    status
}

/// A status that no report is behind: the job waits, is suspended, runs, or ended for a reason of its own.
pub(crate) fn without_report(job: &Job, state: RunState<'_>, attempt: i32, now: Timestamp) -> WasmJobStatus {
    let before = job.unfinished();
    let mut status =
        WasmJobStatus::of_run(&Run { number: job.run(), generation: job.generation, state, attempt, node_name: None }, now, before);
    if let Some(before) = before.filter(|_| status.completion_time.is_none()) {
        status.start_time = status.start_time.or_else(|| before.start_time.clone());
        status.attempts.clone_from(&before.attempts);
        status.retries.clone_from(&before.retries);
        status.folded.clone_from(&before.folded);
    }
    of_this_run(status, job)
}

pub(crate) fn suspended() -> RunState<'static> {
    RunState::Suspended { message: "suspended by spec.suspend: set it to false to go on" }
}

fn of_this_run(mut status: WasmJobStatus, job: &Job) -> WasmJobStatus {
    let before = job.unfinished().and_then(|status| status.run_generation);
    status.run_generation = Some(before.unwrap_or(job.generation));
    status.spec_hash = Some(job.spec_hash.hex());
    status
}
