//! P11: what was started under a lease ends with it, whatever has become of the supervisor.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crds::reason::Reason;
use runner::Runner;
use runner::lease::{Deadline, boottime_nanoseconds};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::{COMPUTES, NOTHING, Place, SLEEPS};
use crate::processes::{alone, is_alone, is_gone, rerun, stat, until, until_async, workers, zygotes};

/// How far each renewal of these tests reaches: long enough for a renewing thread that has to wait for a processor.
const TERM: u64 = 5_000_000_000;

fn term() -> u64 {
    boottime_nanoseconds() + TERM
}

/// Renews until the process ends.
fn renew(deadline: &Deadline) {
    let deadline = deadline.clone();
    std::thread::spawn(move || {
        loop {
            deadline.extend_to(term());
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

/// The supervisor of the test below: two guests, and idle workers, under a lease that it renews. Tells when all are there, and when they
/// have outlived the first term.
async fn supervise() {
    let deadline = Deadline::new().unwrap();
    let first = term();
    renew(&deadline);
    until_async("the first renewal", || !deadline.passed()).await;
    let place = Place::new();
    let runner = Arc::new(place.runner(2, Some(deadline)));
    for (name, guest) in [("computes", COMPUTES), ("sleeps", SLEEPS)] {
        let (runner, task) = (runner.clone(), place.task(name, guest));
        tokio::spawn(async move { runner.run(task).await });
    }
    until_async("two workers and two idle ones", || workers(std::process::id()).len() == 4).await;
    println!("\nrunning");
    until_async("the end of the first term", || boottime_nanoseconds() > first + TERM / 10).await;
    println!("outlived");
    tokio::time::sleep(Duration::from_hours(1)).await;
}

/// A supervisor in a process of its own, all of whose guests run.
struct Supervisor {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    also_stopped: Vec<u32>,
}

impl Supervisor {
    fn start(test: &str) -> Self {
        let mut process = rerun(test).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines, also_stopped: Vec::new() }
    }

    fn says(&mut self, word: &str) {
        assert!(self.lines.any(|line| line.unwrap() == word), "{word}");
    }

    /// Its zygote and its workers.
    fn crew(&self) -> (u32, Vec<u32>) {
        (zygotes(self.process.id())[0], workers(self.process.id()))
    }
}

impl Drop for Supervisor {
    /// What is stopped would stay for ever.
    fn drop(&mut self) {
        self.also_stopped.iter().filter(|process| is_stopped(**process)).for_each(|process| signal(*process, Signal::KILL));
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

fn is_stopped(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| state == 'T')
}

/// Picks of a zygote and its workers.
type Stopped = fn(u32, &[u32]) -> Vec<u32>;

/// What is stopped besides the supervisor, so that each of those that watch is alone with it once.
#[test]
fn what_a_stopped_supervisor_started_ends_with_its_lease() {
    if is_alone() {
        return tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(supervise());
    }
    let rows: [(&str, Stopped); 3] =
        [("nothing", |_, _| vec![]), ("the zygote", |zygote, _| vec![zygote]), ("the workers", |_, workers| workers.to_vec())];
    std::thread::scope(|scope| {
        for (what, stopped) in rows {
            scope.spawn(move || check(what, stopped));
        }
    });
}

fn check(what: &str, stopped: impl Fn(u32, &[u32]) -> Vec<u32>) {
    let mut supervisor = Supervisor::start("lease::what_a_stopped_supervisor_started_ends_with_its_lease");
    supervisor.says("running");
    let (zygote, workers) = supervisor.crew();
    supervisor.says("outlived");
    assert_eq!(supervisor.crew(), (zygote, workers.clone()), "{what}: renewed in time, all live on");
    workers.iter().copied().for_each(sees_and_cannot_write);

    supervisor.also_stopped = stopped(zygote, &workers);
    for process in supervisor.also_stopped.iter().chain([&supervisor.process.id()]) {
        signal(*process, Signal::STOP);
        until("the stop", || is_stopped(*process));
    }
    until("the workers' ends", || workers.iter().all(|worker| is_gone(*worker)));
    until("the zygote's end", || is_gone(zygote) || supervisor.also_stopped.contains(&zygote));
    assert!(is_stopped(supervisor.process.id()), "{what}: nobody has helped along");
}

/// A worker has the deadline in a map that is read only, and no descriptor of it.
fn sees_and_cannot_write(worker: u32) {
    let maps = std::fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
    let rights: Vec<_> = maps.lines().filter(|line| line.contains("/memfd:lease")).map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(rights, [Some("r--s")], "{maps}");
    for descriptor in std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap() {
        let target = std::fs::read_link(descriptor.unwrap().path()).unwrap();
        assert!(!target.to_string_lossy().contains("memfd:"), "{}", target.display());
    }
}

async fn ended(runner: &Runner, place: &Place, name: &str, guest: &str) -> (Reason, String) {
    let outcome = runner.run(place.task(name, guest)).await.outcome;
    (outcome.reason, outcome.message)
}

#[test]
fn after_a_lapse_nothing_runs_until_the_lease_is_renewed_and_then_it_does() {
    alone("lease::after_a_lapse_nothing_runs_until_the_lease_is_renewed_and_then_it_does", async {
        let place = Place::new();
        let deadline = Deadline::new().unwrap();
        let runner = place.runner(1, Some(deadline.clone()));
        let lapsed = |(reason, message): (Reason, String)| {
            assert!(reason == Reason::WorkerKilled && message.contains("this node's lease has ended"), "{reason}: {message}");
        };
        lapsed(ended(&runner, &place, "before-the-first", NOTHING).await);
        assert!(zygotes(std::process::id()).is_empty(), "and nothing was started for it");
        for round in 0..2 {
            deadline.extend_to(term());
            assert_eq!(ended(&runner, &place, "in-time", NOTHING).await, (Reason::Completed, String::new()), "{round}");
            lapsed(ended(&runner, &place, "to-the-end", COMPUTES).await);
            lapsed(ended(&runner, &place, "too-late", NOTHING).await);
            until_async("the zygote's end", || zygotes(std::process::id()).is_empty()).await;
        }
        assert!(place.left().is_empty(), "{:?}", place.left());
    });
}

#[test]
fn a_zygote_that_was_killed_is_replaced() {
    alone("lease::a_zygote_that_was_killed_is_replaced", async {
        let place = Place::new();
        let runner = Arc::new(place.runner(2, None));
        for round in 0..2 {
            let running = (runner.clone(), place.task("computes", COMPUTES));
            let running = tokio::spawn(async move { running.0.run(running.1).await });
            until_async("a worker and two idle ones", || workers(std::process::id()).len() == 3).await;
            let zygote = zygotes(std::process::id());
            signal(zygote[0], Signal::KILL);
            let outcome = running.await.unwrap().outcome;
            assert!(outcome.reason == Reason::WorkerKilled && outcome.exit_code.is_none(), "{round}: {outcome:?}");
            let after = ended(&runner, &place, "after", NOTHING).await;
            assert_eq!(after, (Reason::Completed, String::new()), "{round}");
            assert!(zygotes(std::process::id()) != zygote);
        }
    });
}
