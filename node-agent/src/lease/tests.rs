use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use super::claim::{Claim, Unchanged, claim};
use super::{BadTimings, Timings};

const PATIENCE: Duration = Duration::from_secs(22);

fn lease(holder: &str, version: &str) -> Lease {
    let mut lease =
        Lease { spec: Some(LeaseSpec { holder_identity: Some(holder.to_owned()), ..LeaseSpec::default() }), ..Lease::default() };
    lease.metadata.resource_version = Some(version.to_owned());
    lease
}

/// P12, a second pod on the same node.
#[test]
fn another_pods_lease_is_waited_for_until_it_has_not_changed_for_long() {
    let wait = || Claim::Wait { holder: "other".to_owned() };
    let rows = [
        (0, None, Claim::Create),
        (0, Some(lease("me", "5")), Claim::Take),
        (0, Some(lease("", "5")), Claim::Take),
        (0, Some(lease("other", "5")), wait()),
        (21, Some(lease("other", "5")), wait()),
        // Renewed: the wait begins again.
        (21, Some(lease("other", "6")), wait()),
        (42, Some(lease("other", "6")), wait()),
        (43, Some(lease("other", "6")), Claim::Take),
    ];
    let (start, mut unchanged) = (Instant::now(), Unchanged::default());
    for (second, found, expected) in rows {
        let now = start + Duration::from_secs(second);
        assert_eq!(claim(found.as_ref(), "me", &mut unchanged, PATIENCE, now), expected, "second {second}: {found:?}");
    }
}

#[test]
fn timings_leave_no_moment_in_which_two_nodes_run_the_same() {
    let seconds = Duration::from_secs_f64;
    let rows = [
        (5.0, 20.0, 2.0, 30.0, Ok(())),
        (5.0, 27.6, 2.0, 30.0, Ok(())),
        (5.0, 27.7, 2.0, 30.0, Err(BadTimings::FenceTooLong)),
        (5.0, 20.0, 10.0, 30.0, Err(BadTimings::FenceTooLong)),
        (18.0, 20.0, 2.0, 30.0, Err(BadTimings::RenewTooSeldom)),
        (0.2, 1.0, 0.5, 2.0, Ok(())),
    ];
    for (renew, fence, kill, lease, expected) in rows {
        let timings = Timings { renew: seconds(renew), fence: seconds(fence), kill: seconds(kill), lease: seconds(lease) };
        assert_eq!(timings.check(), expected, "{timings:?}");
    }
}
