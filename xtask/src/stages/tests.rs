//! The last line names the stage that failed, and no stage runs after it.

use std::time::Duration;

use super::*;

#[test]
fn summary_says_which_stage_failed_and_what_each_cost() {
    let took = [("format", Duration::from_millis(1200)), ("clippy", Duration::from_secs(20))];
    assert_eq!(summary("check", &took, None), "check passed in 21.2 s: format 1.2 s, clippy 20.0 s");
    assert_eq!(summary("check", &took, Some("clippy")), "check FAILED at clippy in 21.2 s: format 1.2 s, clippy 20.0 s");
}

#[test]
fn a_failing_stage_fails_the_verb_and_ends_it() {
    let stages =
        [Stage { name: "first", run: || anyhow::bail!("no") }, Stage { name: "second", run: || unreachable!("it comes after a failure") }];
    let error = run("check", &stages).expect_err("the first stage fails");
    assert_eq!(format!("{error:#}"), "stage \"first\" failed: no");
}
