//! Kernels that lack a wall, made of this one by a filter that answers as they would.

use crds::reason::Reason;
use runner::walls::{Wall, missing};
use seccompiler::{SeccompAction, SeccompFilter, apply_filter_all_threads};

use crate::place::{NOTHING, Place};
use crate::processes::{alone, zygotes};

/// From here on this process, and what it starts, is told that these calls do not exist.
fn forget(calls: &[libc::c_long]) {
    let calls = calls.iter().map(|call| (*call, Vec::new())).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, missing, std::env::consts::ARCH.try_into().unwrap()).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    apply_filter_all_threads(&program).unwrap();
}

/// Nothing runs without the wall, everything runs where it may be lacking by its name, and another name does not help.
async fn without(wall: Wall, other: Wall) {
    assert_eq!(missing(), [wall]);
    let place = Place::new();
    for may_lack in [vec![], vec![other]] {
        let runner = place.runner_that_may_lack(1, None, may_lack);
        assert_eq!(runner.sandbox().unwrap_err().reason, Reason::SandboxUnavailable);
        let report = runner.run(place.task("refused", NOTHING)).await;
        let outcome = report.outcome;
        assert!(outcome.reason == Reason::SandboxUnavailable && outcome.exit_code.is_none(), "{outcome:?}");
        assert!(outcome.message.contains(&format!("--may-lack-wall {wall}")), "{outcome:?}");
        assert!(report.module.is_none(), "nothing was fetched");
        assert!(zygotes(std::process::id()).is_empty(), "nothing was started");
    }
    let runner = place.runner_that_may_lack(1, None, vec![wall]);
    assert_eq!(runner.sandbox(), Ok(()));
    let outcome = runner.run(place.task("allowed", NOTHING)).await.outcome;
    assert_eq!(outcome.reason, Reason::Completed, "{outcome:?}");
}

#[test]
fn without_landlock_nothing_runs_unless_that_was_allowed_by_name() {
    alone("escape::lacking::without_landlock_nothing_runs_unless_that_was_allowed_by_name", async {
        forget(&[libc::SYS_landlock_create_ruleset]);
        without(Wall::Landlock, Wall::Seccomp).await;
    });
}

#[test]
fn without_seccomp_nothing_runs_unless_that_was_allowed_by_name() {
    alone("escape::lacking::without_seccomp_nothing_runs_unless_that_was_allowed_by_name", async {
        forget(&[libc::SYS_seccomp]);
        without(Wall::Seccomp, Wall::Landlock).await;
    });
}

/// The runner's look at the kernel is not what is trusted: whoever raises a wall makes sure.
#[test]
fn a_wall_that_cannot_be_raised_ends_the_attempt() {
    alone("escape::lacking::a_wall_that_cannot_be_raised_ends_the_attempt", async {
        let place = Place::new();
        forget(&[libc::SYS_landlock_restrict_self]);
        assert_eq!(missing(), [], "what the runner looks at is there");
        let runner = place.runner(1, None);
        let outcome = runner.run(place.task("refused", NOTHING)).await.outcome;
        assert_eq!(outcome.reason, Reason::SandboxUnavailable, "{outcome:?}");
        assert!(outcome.exit_code.is_none() && outcome.message.contains("do not run without their walls"), "{outcome:?}");
    });
}
