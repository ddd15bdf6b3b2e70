//! A runner in a directory of its own, and tasks for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crds::job::WhatToRun;
use runner::fetch::FetchConfig;
use runner::fetch::address::AddressPolicy;
use runner::lease::Deadline;
use runner::task::{Given, Identity, LocalSources, Observer, Sink, Task};
use runner::walls::Wall;
use runner::{Config, GuestLimits, Runner};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Guests, as text.
pub(crate) const NOTHING: &str = r#"(module (func (export "_start")))"#;
pub(crate) const COMPUTES: &str = r#"(module (func (export "_start") (loop (br 0))))"#;
/// In one call of the host, for an hour.
pub(crate) const SLEEPS: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#;

pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn runner(&self, idle_workers: usize, lease: Option<Deadline>) -> Runner {
        self.runner_that_may_lack(idle_workers, lease, Vec::new())
    }

    pub(crate) fn runner_that_may_lack(&self, idle_workers: usize, lease: Option<Deadline>, may_lack: Vec<Wall>) -> Runner {
        let addresses = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
        Runner::start(Config {
            cache_directory: self.path("cache"),
            store_capacity_bytes: 1 << 30,
            fetch: FetchConfig { addresses, ..FetchConfig::default() },
            limits: GuestLimits::default(),
            idle_workers,
            lease,
            may_lack,
        })
        .unwrap()
    }

    /// A task that runs this guest and writes to `outputs/<name>`.
    pub(crate) fn task(&self, name: &str, guest: &str) -> Task {
        let module = self.path(&format!("{name}.wasm"));
        std::fs::write(&module, wat::parse_str(guest).unwrap()).unwrap();
        let local = LocalSources { module: Some(module), ..LocalSources::default() };
        Task { local, ..self.task_of(name, json!({"module": {}})) }
    }

    pub(crate) fn task_of(&self, name: &str, what: Value) -> Task {
        let what: WhatToRun = serde_json::from_value(what).unwrap();
        Task {
            identity: Identity {
                namespace: "default".to_owned(),
                name: name.to_owned(),
                run: 1,
                index: 0,
                attempt: 1,
                fence: "0".repeat(32),
            },
            what,
            local: LocalSources::default(),
            s3: None,
            given: Given::default(),
            stdin: None,
            stdout: Sink::Tail,
            stderr: Sink::Tail,
            output_directory: self.path("outputs").join(name),
            flatten_single_output: false,
            observer: Arc::new(Observer::default()),
        }
    }

    /// What is in the directories that attempts of this runner use, and should be empty between them.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        ["cache/work", "outputs"].iter().flat_map(|name| entries(&self.path(name))).collect()
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}
