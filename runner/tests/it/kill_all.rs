//! Everything killed at once, and what comes after.

use std::sync::Arc;

use crds::reason::Reason;
use crds::report::Report;
use runner::task::Stage;
use serde_json::json;

use crate::place::{COMPUTES, NOTHING, Place, SLEEPS};
use crate::processes::{alone, until_async, workers};

#[test]
fn every_attempt_under_way_ends_and_later_ones_run() {
    alone("kill_all::every_attempt_under_way_ends_and_later_ones_run", async {
        let place = Place::new();
        let runner = Arc::new(place.runner(1, None));
        // A server that never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/module.wasm", silent.local_addr().unwrap());
        let fetches = place.task_of("fetches", json!({"module": {"http": {"url": url}}}));
        let tasks = [place.task("computes", COMPUTES), place.task("sleeps", SLEEPS), fetches];
        let observers: Vec<_> = tasks.iter().map(|task| task.observer.clone()).collect();
        let attempts = tasks.map(|task| {
            let runner = runner.clone();
            tokio::spawn(async move { runner.run(task).await })
        });
        until_async("two guests, an idle worker and a fetch", || {
            workers(std::process::id()).len() == 3 && observers[2].stage() == Stage::Fetching
        })
        .await;
        runner.kill_all();
        for attempt in attempts {
            let outcome = attempt.await.unwrap().outcome;
            assert!(outcome.reason == Reason::WorkerKilled && outcome.message.contains("killed at once"), "{outcome:?}");
        }
        until_async("only the idle worker", || workers(std::process::id()).len() == 1).await;
        let Report { outcome, .. } = runner.run(place.task("after", NOTHING)).await;
        assert_eq!(outcome.reason, Reason::Completed, "{outcome:?}");
        assert!(place.left().is_empty(), "{:?}", place.left());
    });
}
