//! `cargo xtask cluster`'s program as a user meets it: `up` leaves a working cluster and says where, `up` again says so again, what
//! ends is started again, a killed one is no obstacle, and `down` leaves nothing running. What a user then does with it is in `new_user`.

mod new_user;
mod services;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::processes::{below, is_alive};

/// A guard against hangs.
const PATIENCE: Duration = Duration::from_mins(2);

/// A cache of its own, with the real programs in it.
struct Place {
    cache: TempDir,
}

/// What `up` printed.
struct Up {
    lines: Vec<String>,
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

    fn up(&self, arguments: &[&str]) -> Up {
        Up { lines: self.run(&[&["up"], arguments].concat()) }
    }

    /// It stops, with all that it started and all that those started, and its network is gone.
    fn goes_down(&self, up: &Up) {
        let background = u32::try_from(self.background()).expect("an id");
        let running: Vec<u32> = below(background).into_keys().chain([background]).collect();
        let told = up.processes();
        assert!(running.len() > told.len(), "{running:?} are not all of {told:?}");
        assert_eq!(self.run(&["down"]), ["stopped"]);
        let left: Vec<_> = running.into_iter().filter(|id| is_alive(*id)).collect();
        let told: Vec<_> = told.into_iter().filter(|(_, id)| is_running(*id)).collect();
        assert!(left.is_empty() && told.is_empty(), "{left:?} {told:?}");
        assert!(!has_its_network(up), "{}", up.told("services"));
    }

    fn background(&self) -> i32 {
        fs::read_to_string(self.cache.path().join("cluster/pid")).expect("written").trim().parse().expect("a number")
    }
}

// === impl Up ===

impl Up {
    fn kubeconfig(&self) -> &str {
        self.lines.last().expect("a last line")
    }

    /// What stands behind this name.
    fn told(&self, name: &str) -> &str {
        let found = self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("{name}: not in {:#?}", self.lines))
    }

    fn kubectl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.told("kubectl"));
        command.args(["--kubeconfig", self.kubeconfig()]).args(arguments).output().expect("started")
    }

    /// What kubectl prints when all is well.
    fn asked(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Names that `kubectl get` lists.
    fn listed(&self, what: &[&str]) -> Vec<String> {
        self.asked(&[&["get", "-o", "name"], what].concat()).lines().map(str::to_owned).collect()
    }

    /// Process ids by name.
    fn processes(&self) -> Vec<(String, i32)> {
        processes(&self.lines)
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

/// Whether the first address of the network that pods had is still this machine's. Without a network of its own there is none to keep.
fn has_its_network(up: &Up) -> bool {
    let first = up.told("services").split([' ', ',']).find_map(|word| word.parse::<Ipv4Addr>().ok());
    let is_own = |address: &Ipv4Addr| address.octets()[0] == 198;
    first.filter(is_own).is_some_and(|address| TcpListener::bind((address, 0)).is_ok())
}

#[test]
fn up_leaves_a_cluster_and_down_leaves_nothing() {
    let place = Place::new();
    let first = place.up(&["--agents", "2"]);
    assert!(PathBuf::from(first.kubeconfig()).is_file(), "{:?}", first.lines);
    assert_eq!(first.listed(&["nodes"]), ["node/node-0", "node/node-1", "node/node-2"]);
    let ours = first.listed(&["wjn", "-n", "wasmjob-system"]);
    assert_eq!(ours, ["wasmnode.wasmjob.dev/node-1", "wasmnode.wasmjob.dev/node-2"]);

    let again = place.run(&["up"]);
    assert_eq!(again[0], "it runs already; `cargo xtask cluster down` stops it");
    assert_eq!(again[1..], first.lines);

    let running = first.processes();
    let log = Path::new(first.kubeconfig()).with_file_name("node-1.log");
    let starts = || fs::read_to_string(&log).expect("read").matches("registered").count();
    assert_eq!(starts(), 1);
    kill(id_of("node-1", &running));
    until("a killed agent stays away", || starts() == 2);

    assert_eq!(running.len(), 7, "{running:?}");
    place.goes_down(&first);
    assert_eq!(place.run(&["down"]), ["nothing runs"]);
}

#[test]
fn a_killed_cluster_is_no_obstacle_for_the_next() {
    let place = Place::new();
    let wanted = place.cache.path().join("wanted.kubeconfig");
    let wanted = wanted.to_str().expect("text");
    let arguments = ["--agents", "0", "--kubeconfig", wanted];
    let before = place.up(&arguments);
    assert_eq!(before.kubeconfig(), wanted);
    kill(place.background());
    let running = before.processes();
    until("what it started outlives it", || running.iter().all(|(_, id)| !is_running(*id)));

    let after = place.up(&arguments);
    assert_eq!(after.kubeconfig(), wanted);
    assert_ne!(after.processes(), running);
    assert_eq!(after.listed(&["nodes"]), ["node/node-0"]);
    assert!(after.told("services") == before.told("services") || !has_its_network(&before), "a killed one's network stays");
    place.goes_down(&after);
}
