use crds::reason::Reason;
use crds::status::RetryStatus;
use jiff::{SignedDuration, Timestamp};

use super::{Verdict, count, next_attempt};
use crate::observe::Policy;

fn policy(backoff_limit: i32) -> Policy {
    Policy {
        backoff_limit,
        backoff_initial_seconds: 10,
        backoff_max_seconds: 30,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        suspend: false,
        cancel: false,
    }
}

fn tries([failures, budgeted, lost, free]: [i32; 4]) -> RetryStatus {
    RetryStatus { indexes: "0".to_owned(), failures, budgeted, lost, free, not_before: None }
}

/// Tries so far, how the next one ended, the limit; then the tries and seconds until the next one, or that there is none.
#[test]
fn endings_are_counted_by_their_class() {
    let again = |tries, seconds| Ok((tries, seconds));
    let rows = [
        ([0, 0, 0, 0], Reason::GuestExit, 0, Err(None)),
        ([0, 0, 0, 0], Reason::GuestExit, 1, again([1, 0, 0, 0], 10)),
        ([1, 0, 0, 0], Reason::Trap, 1, Err(Some(2))),
        ([1, 0, 0, 0], Reason::Timeout, 5, again([2, 0, 0, 0], 20)),
        ([2, 0, 0, 0], Reason::MemoryLimit, 5, again([3, 0, 0, 0], 30)),
        ([3, 0, 0, 0], Reason::OutOfFuel, 5, again([4, 0, 0, 0], 30)),
        ([0, 0, 0, 0], Reason::ModuleInvalid, 5, Err(None)),
        ([0, 0, 0, 0], Reason::FetchFailed, 0, again([0, 1, 0, 0], 1)),
        ([0, 3, 0, 0], Reason::PublishFailed, 0, again([0, 4, 0, 0], 8)),
        ([0, 4, 0, 0], Reason::FetchFailed, 9, Err(None)),
        ([0, 0, 0, 0], Reason::NodeLost, 0, again([0, 0, 1, 0], 0)),
        ([0, 0, 2, 0], Reason::AgentRestarted, 0, again([0, 0, 3, 0], 0)),
        ([0, 0, 3, 0], Reason::WorkerKilled, 0, Err(None)),
        ([0, 0, 3, 0], Reason::WorkerKilled, 1, again([0, 0, 4, 0], 10)),
        ([1, 0, 3, 0], Reason::NodeLost, 1, Err(Some(2))),
        ([1, 4, 3, 50], Reason::Disrupted, 0, again([1, 4, 3, 51], 0)),
    ];
    let ended = Timestamp::from_second(1_700_000_000).expect("a second of this century");
    for (so_far, reason, limit, expected) in rows {
        let verdict = match count(&tries(so_far), reason, ended, &policy(limit)) {
            Verdict::Final => Err(None),
            Verdict::Exhausted { failures } => Err(Some(failures)),
            Verdict::Again(next) => {
                let wait = next.not_before.as_ref().map_or(SignedDuration::ZERO, |at| at.0.duration_since(ended));
                Ok(([next.failures, next.budgeted, next.lost, next.free], wait.as_secs()))
            }
        };
        assert_eq!(verdict, expected, "{so_far:?} {reason} {limit}");
    }
}

#[test]
fn attempts_are_numbered_by_all_endings() {
    assert_eq!(next_attempt(&tries([0; 4])), 1);
    assert_eq!(next_attempt(&tries([2, 1, 3, 4])), 11);
}
