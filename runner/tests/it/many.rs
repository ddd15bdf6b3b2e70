//! Many attempts side by side and one after the other leave nothing behind.

use std::sync::Arc;

use crds::reason::Reason;
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::place::{NOTHING, Place, SLEEPS};
use crate::processes::{alone, until_async, workers};

/// As many as an agent has slots, at most.
const MANY: usize = 64;
/// What a login shell gives a process.
const USUAL_DESCRIPTORS: u64 = 1024;

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[test]
fn many_at_once_fit_into_the_usual_descriptors_and_leave_none() {
    alone("many::many_at_once_fit_into_the_usual_descriptors_and_leave_none", async {
        setrlimit(Resource::Nofile, Rlimit { current: Some(USUAL_DESCRIPTORS), maximum: Some(USUAL_DESCRIPTORS) }).unwrap();
        let place = Place::new();
        let runner = Arc::new(place.runner(2, None));
        let first = runner.run(place.task("first", NOTHING)).await;
        assert_eq!(first.outcome.reason, Reason::Completed, "{first:?}");
        let idle = || workers(std::process::id()).len() == 2;
        until_async("idle workers", idle).await;
        let descriptors = count("/proc/self/fd");

        let attempts: Vec<_> = (0..MANY).map(|number| place.task(&number.to_string(), SLEEPS)).collect();
        let attempts = attempts.into_iter().map(|task| {
            let runner = runner.clone();
            tokio::spawn(async move { runner.run(task).await })
        });
        let attempts: Vec<_> = attempts.collect();
        until_async("all of them, and idle workers", || workers(std::process::id()).len() == MANY + 2).await;
        runner.kill_all();
        for attempt in join_all(attempts).await {
            let outcome = attempt.unwrap().outcome;
            assert!(outcome.message.contains("killed at once"), "{outcome:?}");
        }
        for _ in 0..4 {
            let tasks = (0..MANY).map(|number| place.task(&number.to_string(), NOTHING));
            for report in join_all(tasks.map(|task| runner.run(task))).await {
                assert_eq!(report.outcome.reason, Reason::Completed, "{report:?}");
            }
        }
        until_async("idle workers again", idle).await;
        assert!(place.left().is_empty(), "{:?}", place.left());
        until_async("as many descriptors as before", || count("/proc/self/fd") <= descriptors).await;
    });
}
