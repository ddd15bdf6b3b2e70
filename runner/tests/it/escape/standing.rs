//! The walls from outside: what the kernel says of the processes behind them, thread by thread.

use std::sync::Arc;

use runner::lease::{Deadline, boottime_nanoseconds};

use crate::place::{Place, SLEEPS};
use crate::processes::{alone, until_async, workers, zygotes};

/// Lines of `/proc/<process>/task/<thread>/status`, for every thread.
fn said(process: u32, name: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_thread = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim).map(str::to_owned));
        line.expect("a line of this name")
    };
    threads.map(|thread| of_thread(std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap())).collect()
}

fn first_to_go(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).unwrap().trim() == "1000"
}

/// Of the guest's own thread and of the one that watches the lease beside it.
#[test]
fn walls_stand_around_every_thread_of_a_worker() {
    alone("escape::standing::walls_stand_around_every_thread_of_a_worker", async {
        let place = Place::new();
        let deadline = Deadline::new().unwrap();
        deadline.extend_to(boottime_nanoseconds() + 3_600_000_000_000);
        let runner = Arc::new(place.runner(1, Some(deadline)));
        until_async("an idle worker", || workers(std::process::id()).len() == 1).await;
        let running = workers(std::process::id())[0];
        until_async("its walls so far", || first_to_go(running)).await;
        for (process, filters) in [(zygotes(std::process::id())[0], "3"), (running, "3")] {
            for (name, expected) in [("NoNewPrivs", "1"), ("Seccomp", "2"), ("Seccomp_filters", filters)] {
                assert!(said(process, name).iter().all(|value| value == expected), "{name}: {:?}", said(process, name));
            }
        }
        let attempt = (runner.clone(), place.task("sleeps", SLEEPS));
        let attempt = tokio::spawn(async move { attempt.0.run(attempt.1).await });
        let shut = || said(running, "Seccomp_filters") == ["4", "4"];
        until_async("the last filter, in both threads", shut).await;
        assert!(!first_to_go(zygotes(std::process::id())[0]), "or all workers would go with it");
        runner.kill_all();
        attempt.await.unwrap();
    });
}

/// Polls stdin, which the host does in a thread of its own, and exits with what the event says.
const POLLS: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store8 (i32.const 8) (i32.const 1))
    (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)) (then unreachable))
    (call $exit (i32.load16_u (i32.const 72)))))"#;

#[test]
fn host_calls_still_get_the_threads_that_they_wait_in() {
    alone("escape::standing::host_calls_still_get_the_threads_that_they_wait_in", async {
        let place = Place::new();
        std::fs::write(place.path("stdin"), "a line").unwrap();
        let task = place.task("polls", POLLS);
        let stdin = std::fs::File::open(place.path("stdin")).unwrap();
        let outcome = place.runner(1, None).run(runner::task::Task { stdin: Some(stdin), ..task }).await.outcome;
        assert_eq!(outcome.reason, crds::reason::Reason::Completed, "{outcome:?}");
    });
}
