//! The straight line: fetch → prepare → execute → publish → `Report`.
//!
//! Every ending is a report; nothing here is retried across attempts, and nothing is written but the task's output directory.

mod place;
mod sources;

use std::fs::File;
use std::time::{Duration, Instant};

use crds::job::WhatToRun;
use crds::reason::Reason;
use crds::report::{Durations, ModuleReport, Outcome, Report, StreamReport, Usage};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::execute::{Executed, Execution, execute};
use crate::failure::Failure;
use crate::fetch::{Fetcher, Tree};
use crate::mounts::{self, OutputDirectory};
use crate::order::{Order, OrderLimits, Preopen};
use crate::prepare::Prepared;
use crate::publish;
use crate::publish::beside::Beside;
use crate::publish::outputs::{Published, Publishing};
use crate::runner::Runner;
use crate::sandbox::engine::DEFAULT_STACK_BYTES;
use crate::store::Blob;
use crate::task::{Stage, Task};
use crate::workers::Standing;

/// What is known of the attempt so far; becomes the report wherever it ends.
struct Ledger {
    start_time: Timestamp,
    durations: Durations,
    module: Option<ModuleReport>,
    absent_inputs: Vec<String>,
}

/// Everything the guest needs, on this machine.
struct Arrived {
    module: Blob,
    prepared: Prepared,
    trees: Vec<Tree>,
}

/// Carries the task out.
pub(crate) async fn run(runner: &Runner, mut task: Task) -> Report {
    let mut ledger = Ledger { start_time: now(), durations: Durations::default(), module: None, absent_inputs: Vec::new() };
    let observer = task.observer.clone();
    let standing = runner.workers().standing();
    let line = line(runner, &standing, &mut task, &mut ledger);
    let interrupted = async {
        let failure = tokio::select! {
            () = observer.cancelled() => Failure::new(Reason::Cancelled, "the run was cancelled"),
            loss = standing.killed() => loss.failure(),
        };
        if observer.stage() == Stage::Running {
            std::future::pending::<()>().await;
        }
        failure
    };
    // What becomes of a guest that runs is told by `execute`, with what it wrote; before and after it, the line is simply left.
    let report = tokio::select! {
        biased;
        done = line => done,
        failure = interrupted => Err(failure),
    };
    let report = report.unwrap_or_else(|failure| ledger.failed(failure));
    mounts::remove_empty(&task);
    observer.enter(Stage::Ended);
    report
}

async fn line(runner: &Runner, standing: &Standing, task: &mut Task, ledger: &mut Ledger) -> Result<Report, Failure> {
    place::needs_no_cluster(task)?;
    place::fits(&task.what)?;
    runner.workers().walls()?;
    task.observer.enter(Stage::Fetching);
    let fetcher = match task.s3.take() {
        Some(access) => runner.fetcher().with_s3(access),
        None => runner.fetcher().clone(),
    };
    let outputs = output_directories(runner, task)?;
    publish::outputs::check(&fetcher, &outputs)?;
    let arrived = arrive(runner, &fetcher, task, ledger).await?;

    let (_work, inputs) = input_directories(runner, task, &arrived.trees)?;
    let order = order(runner, task, &arrived, inputs, &outputs)?;
    let stdin = stdin(task, &arrived.trees)?;
    let beside = publish::outputs::wanted(&outputs).then(|| Beside::open(runner.work_directory())).transpose()?;
    let (beside, spools) = beside.unzip();

    task.observer.enter(Stage::Running);
    let executed = execute(
        runner.workers(),
        Execution {
            standing,
            order: &order,
            prepared: &arrived.prepared,
            stdin,
            stdout: std::mem::replace(&mut task.stdout, crate::task::Sink::Tail),
            stderr: std::mem::replace(&mut task.stderr, crate::task::Sink::Tail),
            spools,
            stream_bytes: runner.limits().stream_bytes,
            timeout: timeout(&task.what, runner.limits().timeout),
            outputs: &outputs,
            observer: &task.observer,
        },
    )
    .await?;
    ledger.durations.instantiate_microseconds = signed(executed.instantiate_microseconds);
    ledger.durations.run_milliseconds = signed(executed.ran.as_millis());
    runner.compiled().improve(&arrived.module, order.limits.fuel.is_some(), &arrived.prepared, executed.ran);

    task.observer.enter(Stage::Publishing);
    let begun = Instant::now();
    let published = publish_or_discard((runner, &fetcher), task, &executed, &outputs, beside).await;
    ledger.durations.publish_milliseconds = signed(begun.elapsed().as_millis());
    Ok(ledger.ended(executed, published))
}

/// Publishes what a guest left that came to an end of its own. Of an output that is refused nothing is left.
async fn publish_or_discard(
    (runner, fetcher): (&Runner, &Fetcher),
    task: &Task,
    executed: &Executed,
    outputs: &[OutputDirectory],
    beside: Option<Beside>,
) -> Result<Published, Failure> {
    let publish = async |exit_code| {
        let streams = [&executed.stdout, &executed.stderr];
        let beside = match &beside {
            Some(beside) => Some(beside.collected(streams, runner.limits().stream_bytes, exit_code).await?),
            None => None,
        };
        let publishing = Publishing {
            fetcher,
            identity: &task.identity,
            outputs,
            beside: beside.as_ref(),
            succeeded: executed.outcome.reason == Reason::Completed,
            work: runner.work_directory(),
        };
        publish::outputs::publish(&publishing).await
    };
    let published = match executed.outcome.exit_code {
        Some(exit_code) => publish(exit_code).await,
        None => Ok(Published::default()),
    };
    let refused = published.as_ref().is_err_and(|failure| matches!(failure.reason, Reason::OutputUnsafe | Reason::OutputTooLarge));
    if refused || executed.outcome.exit_code.is_none() {
        publish::outputs::discard(outputs).await;
    }
    published
}

/// Fetches the module and the inputs side by side; the module compiles while inputs still arrive.
async fn arrive(runner: &Runner, fetcher: &Fetcher, task: &Task, ledger: &mut Ledger) -> Result<Arrived, Failure> {
    let begun = Instant::now();
    let fuel = task.what.wasm_limits.as_ref().is_some_and(|limits| limits.fuel.is_some());
    let module = async {
        let module = sources::module(fetcher, task).await?;
        let here = begun.elapsed();
        let prepared = runner.compiled().prepare(fetcher.store(), &module, fuel).await?;
        Ok::<_, Failure>((module, prepared, here, begun.elapsed().saturating_sub(here)))
    };
    let inputs = async {
        let (trees, absent) = sources::inputs(fetcher, task).await?;
        Ok::<_, Failure>((trees, absent, begun.elapsed()))
    };
    let ((module, prepared, module_fetched, compiled), (trees, absent, inputs_fetched)) = tokio::try_join!(module, inputs)?;
    ledger.durations.fetch_milliseconds = signed(module_fetched.max(inputs_fetched).as_millis());
    ledger.durations.compile_milliseconds = signed(compiled.as_millis());
    ledger.absent_inputs = absent;
    ledger.module = Some(ModuleReport { digest: module.digest(), size_bytes: module.size_bytes(), kind: prepared.kind });
    Ok(Arrived { module, prepared, trees })
}

/// The inputs as the guest sees them, in a directory that goes with the attempt; no directory where there is no input.
fn input_directories(runner: &Runner, task: &Task, trees: &[Tree]) -> Result<(Option<TempDir>, Vec<Preopen>), Failure> {
    if trees.is_empty() {
        return Ok((None, Vec::new()));
    }
    let work = tempfile::Builder::new()
        .prefix(&format!("{}-", std::process::id()))
        .tempdir_in(runner.work_directory())
        .map_err(|error| Failure::new(Reason::WorkerKilled, format!("failed to make a working directory: {error}")))?;
    let preopens = mounts::inputs(work.path(), &task.what, trees, &task.given)?;
    Ok((Some(work), preopens))
}

fn order(
    runner: &Runner,
    task: &Task,
    arrived: &Arrived,
    mut preopens: Vec<Preopen>,
    outputs: &[OutputDirectory],
) -> Result<Order, Failure> {
    let what = &task.what;
    preopens.extend(mounts::outputs(outputs)?);
    let wasm_limits = what.wasm_limits.clone().unwrap_or_default();
    let or = |limit: Option<i64>, default: u64| limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(default);
    Ok(Order {
        kind: arrived.prepared.kind,
        entrypoint: what.entrypoint.clone(),
        args: std::iter::once(sources::module_name(task)).chain(what.args.iter().cloned()).collect(),
        env: place::environment(&task.identity, what, &task.given),
        preopens,
        limits: OrderLimits {
            memory_bytes: place::memory_limit(what, runner.limits().memory_bytes)?,
            fuel: wasm_limits.fuel.and_then(|fuel| u64::try_from(fuel).ok()),
            max_stack_bytes: or(wasm_limits.max_stack_bytes, DEFAULT_STACK_BYTES),
            max_table_elements: or(wasm_limits.max_table_elements, runner.limits().max_table_elements),
            largest_file_bytes: outputs.iter().map(|output| output.limits.bytes).max().unwrap_or(0).saturating_add(1),
        },
    })
}

fn output_directories(runner: &Runner, task: &Task) -> Result<Vec<OutputDirectory>, Failure> {
    let outputs = task.what.effective_outputs();
    let flat = task.flatten_single_output && outputs.len() == 1;
    outputs
        .into_iter()
        .map(|output| {
            let directory = if flat { task.output_directory.clone() } else { task.output_directory.join(&output.name) };
            let limits = place::output_limits(&output, runner.limits())?;
            Ok(OutputDirectory { output, directory, limits })
        })
        .collect()
}

fn stdin(task: &mut Task, trees: &[Tree]) -> Result<File, Failure> {
    match task.stdin.take() {
        Some(file) => Ok(file),
        None => sources::stdin(task, trees),
    }
}

fn timeout(what: &WhatToRun, default: Option<Duration>) -> Option<Duration> {
    what.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs).or(default)
}

fn signed<T>(value: T) -> i64
where
    i64: TryFrom<T>,
{
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn now() -> Timestamp {
    Timestamp::now()
}

// === impl Ledger ===

impl Ledger {
    /// The report of an attempt whose guest never ran.
    fn failed(self, failure: Failure) -> Report {
        Report {
            outcome: Outcome { reason: failure.reason, exit_code: None, message: failure.message },
            module: self.module,
            stdout: StreamReport::default(),
            stderr: StreamReport::default(),
            results: Vec::new(),
            config_maps: Vec::new(),
            absent_inputs: self.absent_inputs,
            network_denied: Vec::new(),
            start_time: self.start_time,
            finish_time: now(),
            durations: self.durations,
            usage: Usage::default(),
        }
    }

    /// The report of a guest that ran. What became of its outputs decides only where the guest itself succeeded.
    fn ended(&self, executed: Executed, published: Result<Published, Failure>) -> Report {
        let mut outcome = executed.outcome;
        let published = match published {
            Ok(published) => published,
            Err(failure) if outcome.reason == Reason::Completed => {
                outcome = Outcome { reason: failure.reason, message: failure.message, ..outcome };
                Published::default()
            }
            Err(failure) => {
                outcome.message = format!("{}; its outputs: {failure}", outcome.message);
                Published::default()
            }
        };
        Report {
            outcome,
            module: self.module,
            stdout: executed.stdout,
            stderr: executed.stderr,
            results: published.results,
            config_maps: published.config_maps,
            absent_inputs: self.absent_inputs.clone(),
            network_denied: executed.network_denied,
            start_time: self.start_time,
            finish_time: now(),
            durations: self.durations,
            usage: Usage {
                cpu_milliseconds: signed(executed.cpu_milliseconds),
                peak_memory_bytes: signed(executed.peak_memory_bytes),
                fuel_consumed: executed.fuel_consumed.map(signed),
            },
        }
    }
}
