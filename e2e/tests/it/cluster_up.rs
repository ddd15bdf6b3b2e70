//! `cargo xtask cluster`'s program as a user meets it: `up` leaves a working cluster and says where, `up` again says so again, what
//! ends is started again, a killed one is no obstacle, and `down` leaves nothing running.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A guard against hangs.
const PATIENCE: Duration = Duration::from_mins(2);

/// A cache of its own, with the real programs in it.
struct Place {
    cache: TempDir,
}

impl Place {
    fn new() -> Self {
        let cache = tempfile::tempdir().expect("a folder");
        let bin = e2e::cache().expect("there is one").join("bin");
        std::os::unix::fs::symlink(bin, cache.path().join("bin")).expect("linked");
        Self { cache }
    }

    /// What it printed, line by line.
    fn run(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
        let output = command.args(arguments).env("WASMJOB_CACHE", self.cache.path()).output().expect("started");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    fn background(&self) -> i32 {
        fs::read_to_string(self.cache.path().join("cluster/pid")).expect("written").trim().parse().expect("a number")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed leaves nothing running either.
        let _ = Command::new(env!("CARGO_BIN_EXE_cluster")).arg("down").env("WASMJOB_CACHE", self.cache.path()).output();
    }
}

/// The ids in `NAME (process ID)`, by name.
fn processes(lines: &[String]) -> Vec<(String, i32)> {
    let parts = lines.iter().flat_map(|line| line.split([':', ',']));
    let named = parts.filter_map(|part| part.trim().strip_suffix(')')?.split_once(" (process "));
    named.map(|(name, id)| (name.to_owned(), id.parse().expect("a number"))).collect()
}

fn id_of(name: &str, processes: &[(String, i32)]) -> i32 {
    processes.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name} in {processes:?}")).1
}

fn is_running(id: i32) -> bool {
    Path::new("/proc").join(id.to_string()).exists()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn kill(id: i32) {
    kill_process(Pid::from_raw(id).expect("an id"), Signal::KILL).expect("killed");
}

/// Names that `kubectl get` lists.
fn listed(lines: &[String], kubeconfig: &str, what: &[&str]) -> Vec<String> {
    let kubectl = lines.iter().find_map(|line| line.strip_prefix("kubectl: ")).expect("it is named");
    let output = Command::new(kubectl).args(["--kubeconfig", kubeconfig, "get", "-o", "name"]).args(what).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn up_leaves_a_cluster_and_down_leaves_nothing() {
    let place = Place::new();
    let first = place.run(&["up", "--agents", "2"]);
    let kubeconfig = first.last().expect("a last line");
    assert!(PathBuf::from(kubeconfig).is_file(), "{first:?}");
    assert_eq!(listed(&first, kubeconfig, &["nodes"]), ["node/node-0", "node/node-1", "node/node-2"]);
    let ours = listed(&first, kubeconfig, &["wjn", "-n", "wasmjob-system"]);
    assert_eq!(ours, ["wasmnode.wasmjob.dev/node-1", "wasmnode.wasmjob.dev/node-2"]);

    let again = place.run(&["up"]);
    assert_eq!(again[0], "it runs already; `cargo xtask cluster down` stops it");
    assert_eq!(again[1..], first);

    let running = processes(&first);
    let log = Path::new(kubeconfig).with_file_name("node-1.log");
    let starts = || fs::read_to_string(&log).expect("read").matches("registered").count();
    assert_eq!(starts(), 1);
    kill(id_of("node-1", &running));
    until("a killed agent stays away", || starts() == 2);

    assert_eq!(place.run(&["down"]), ["stopped"]);
    let left: Vec<_> = running.iter().filter(|(_, id)| is_running(*id)).collect();
    assert!(left.is_empty() && running.len() == 7, "{left:?} of {running:?}");
    assert_eq!(place.run(&["down"]), ["nothing runs"]);
}

#[test]
fn a_killed_cluster_is_no_obstacle_for_the_next() {
    let place = Place::new();
    let wanted = place.cache.path().join("wanted.kubeconfig");
    let wanted = wanted.to_str().expect("text");
    let up = ["up", "--agents", "0", "--kubeconfig", wanted];
    let before = place.run(&up);
    assert_eq!(before.last().map(String::as_str), Some(wanted));
    kill(place.background());
    let running = processes(&before);
    until("what it started outlives it", || running.iter().all(|(_, id)| !is_running(*id)));

    let after = place.run(&up);
    assert_eq!(after.last().map(String::as_str), Some(wanted));
    assert_ne!(processes(&after), running);
    assert_eq!(listed(&after, wanted, &["nodes"]), ["node/node-0"]);
    assert_eq!(place.run(&["down"]), ["stopped"]);
}
