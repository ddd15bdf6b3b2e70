//! How an attempt that did not succeed counts, and when the next one starts (P16). Numbers and times only.

use std::time::Duration;

use crds::reason::{Reason, RetryClass};
use crds::status::RetryStatus;
use jiff::{SignedDuration, Timestamp};

use crate::observe::Policy;

/// Tries of what we ourselves do (fetching, publishing), and the wait before the first retry; each next one waits twice as long.
const BUDGETED_TRIES: i32 = 5;
const BUDGETED_INITIAL: Duration = Duration::from_secs(1);
/// Attempts that may be lost with their worker, agent or node before they count.
const LOST_FOR_FREE: i32 = 3;

/// What follows from a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The attempt's own ending is the job's.
    Final,
    /// The job has failed too often; so many times.
    Exhausted { failures: i32 },
    /// Try again, not before the time in it.
    Again(RetryStatus),
}

/// The number of the next attempt: 1 + counted + free endings (P1).
pub(crate) fn next_attempt(tries: &RetryStatus) -> i32 {
    1_i32.saturating_add(tries.failures).saturating_add(tries.budgeted).saturating_add(tries.lost).saturating_add(tries.free)
}

/// Counts an ending.
pub(crate) fn count(tries: &RetryStatus, reason: Reason, ended: Timestamp, policy: &Policy) -> Verdict {
    let mut next = RetryStatus { not_before: None, ..tries.clone() };
    match reason.retry_class() {
        RetryClass::NoFailure | RetryClass::Final => Verdict::Final,
        RetryClass::Free => {
            next.free += 1;
            Verdict::Again(next)
        }
        RetryClass::Budgeted => {
            next.budgeted += 1;
            if next.budgeted >= BUDGETED_TRIES {
                return Verdict::Final;
            }
            Verdict::Again(RetryStatus { not_before: after(ended, doubled(BUDGETED_INITIAL, next.budgeted)), ..next })
        }
        RetryClass::Lost => {
            next.lost += 1;
            if next.lost <= LOST_FOR_FREE { Verdict::Again(next) } else { counted(next, ended, policy) }
        }
        RetryClass::Counted => {
            next.failures += 1;
            counted(next, ended, policy)
        }
    }
}

fn counted(next: RetryStatus, ended: Timestamp, policy: &Policy) -> Verdict {
    let failures = next.failures + (next.lost - LOST_FOR_FREE).max(0);
    if failures <= policy.backoff_limit {
        return Verdict::Again(RetryStatus { not_before: after(ended, backoff(policy, failures)), ..next });
    }
    // Without retries the attempt's own reason tells more than that there were none.
    if policy.backoff_limit == 0 { Verdict::Final } else { Verdict::Exhausted { failures } }
}

fn backoff(policy: &Policy, failures: i32) -> Duration {
    let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    doubled(seconds(policy.backoff_initial_seconds), failures).min(seconds(policy.backoff_max_seconds))
}

/// `initial` before the first retry, twice as long before each next one.
fn doubled(initial: Duration, retry: i32) -> Duration {
    let doublings = u32::try_from(retry - 1).unwrap_or(0).min(20);
    initial.saturating_mul(1 << doublings)
}

fn after(ended: Timestamp, wait: Duration) -> Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time> {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    ended.checked_add(wait).ok().filter(|at| *at > ended).map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time)
}

#[cfg(test)]
mod tests;
