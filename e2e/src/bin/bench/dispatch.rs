//! What it takes to bring a guest into being: a module that does nothing, through the runner, with everything warm.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crds::job::{ModuleSource, WhatToRun};
use crds::reason::Reason;
use crds::report::Report;
use e2e::bench::{Figure, Promise, Row, Unit, milliseconds};
use futures_util::{StreamExt as _, stream};
use runner::fetch::FetchConfig;
use runner::lease::Deadline;
use runner::task::{Given, Identity, LocalSources, Observer, Sink, Task};
use runner::{Config, GuestLimits, Runner};

use crate::{measure_all, runtime, timed};

/// Attempts of one round side by side, `AT_ONCE` of them at any time.
const MANY: u32 = 100;
const AT_ONCE: usize = 4;
const NOTHING: &str = r#"(module (memory 1) (func (export "_start")))"#;

/// A runner as an agent has it: started once, used again and again.
pub(crate) struct Machine {
    runtime: tokio::runtime::Runtime,
    runner: Runner,
    outputs: PathBuf,
}

pub(super) fn figures(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let module = folder.join("nothing.wasm");
    std::fs::write(&module, wat::parse_str(NOTHING).context("a guest that does nothing")?).context("failed to write the module")?;
    let machine = RefCell::new(machine(folder)?);
    let bare = || timed(&mut Command::new("true")).map(|(took, _)| took);
    let rows = vec![
        Row {
            name: "dispatch: from the order to the guest's first instruction; bare: a process that does nothing",
            unit: Unit::Milliseconds,
            ours: Box::new(|| {
                let (_, report) = machine.borrow_mut().run(&module)?;
                Ok(milliseconds(Duration::from_micros(report.durations.instantiate_microseconds.unsigned_abs())))
            }),
            bare: Some(Box::new(bare)),
            rounds: 300,
            promise: Promise::AtMost(1.0),
        },
        Row {
            name: "a whole attempt of a guest that does nothing, store and compiled module warm; bare: a process that does nothing",
            unit: Unit::Milliseconds,
            ours: Box::new(|| machine.borrow_mut().run(&module).map(|(took, _)| milliseconds(took))),
            bare: Some(Box::new(bare)),
            rounds: 300,
            promise: Promise::None,
        },
        Row {
            name: "the same, four at a time, per attempt (2.5 ms are 400 a second); bare: a process that does nothing",
            unit: Unit::Milliseconds,
            ours: Box::new(|| machine.borrow_mut().run_many(&module).map(|took| milliseconds(took / MANY))),
            bare: Some(Box::new(bare)),
            rounds: 10,
            promise: Promise::None,
        },
    ];
    measure_all(rows)
}

pub(crate) fn machine(folder: &Path) -> anyhow::Result<Machine> {
    let runtime = runtime()?;
    let lease = Deadline::new().context("no lease")?;
    lease.extend_to(u64::MAX);
    let config = Config {
        cache_directory: folder.join("cache"),
        store_capacity_bytes: 1 << 30,
        fetch: FetchConfig::default(),
        limits: GuestLimits::default(),
        idle_workers: 2,
        lease: Some(lease),
        may_lack: Vec::new(),
    };
    let runner = runtime.block_on(async { Runner::start(config) }).context("failed to start the runner")?;
    Ok(Machine { runtime, runner, outputs: folder.join("outputs") })
}

// === impl Machine ===

impl Machine {
    /// Runs the module to a good end: how long the whole attempt took, and its report.
    pub(crate) fn run(&mut self, module: &Path) -> anyhow::Result<(Duration, Report)> {
        let task = task(module, &self.outputs);
        let begun = Instant::now();
        let report = self.runtime.block_on(self.runner.run(task));
        let took = begun.elapsed();
        if report.outcome.reason != Reason::Completed {
            bail!("{} ended with {:?}: {}", module.display(), report.outcome.reason, report.outcome.message);
        }
        Ok((took, report))
    }

    /// Runs it `MANY` times: how long that took.
    fn run_many(&mut self, module: &Path) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let attempts = (0..MANY).map(|number| self.runner.run(task(module, &self.outputs.join(number.to_string()))));
        let reports: Vec<_> = self.runtime.block_on(stream::iter(attempts).buffer_unordered(AT_ONCE).collect());
        let took = begun.elapsed();
        match reports.into_iter().find(|report| report.outcome.reason != Reason::Completed) {
            Some(report) => bail!("one of many ended with {:?}: {}", report.outcome.reason, report.outcome.message),
            None => Ok(took),
        }
    }
}

fn task(module: &Path, outputs: &Path) -> Task {
    Task {
        identity: Identity {
            namespace: "default".to_owned(),
            name: "bench".to_owned(),
            run: 1,
            index: 0,
            attempt: 1,
            fence: "0".repeat(32),
        },
        what: WhatToRun {
            module: ModuleSource::default(),
            entrypoint: None,
            args: Vec::new(),
            env: Vec::new(),
            env_from: Vec::new(),
            stdin: None,
            inputs: Vec::new(),
            outputs: Some(Vec::new()),
            resources: None,
            wasm_limits: None,
            timeout_seconds: None,
        },
        local: LocalSources { module: Some(module.to_owned()), ..LocalSources::default() },
        s3: None,
        given: Given::default(),
        stdin: None,
        stdout: Sink::Tail,
        stderr: Sink::Tail,
        output_directory: outputs.to_owned(),
        flatten_single_output: false,
        observer: Arc::new(Observer::default()),
    }
}
