//! A checked job → the runner, with signals listened to and outputs put in their place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crds::reason::Reason;
use crds::report::Report;
use runner::Runner;
use runner::failure::Failure;
use runner::fetch::address::AddressPolicy;
use runner::fetch::s3::S3Access;
use runner::fetch::{FetchConfig, FetchLimits};
use runner::task::{Given, Observer, Task};
use runner::walls::{self, Wall};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Ending, identity, refused, stdin};
use crate::args::RunArgs;
use crate::config::Environment;
use crate::ipfs_access::ipfs_access;
use crate::job_from_flags::LocalJob;
use crate::outputs::{Destination, Kept};
use crate::progress::{Line, Streams, streams};
use crate::s3_access::{needs_s3, s3_access};
use crate::{exit, outputs};

/// Bytes of fetched files and compiled modules that are kept between runs.
const STORE_CAPACITY_BYTES: u64 = 20 << 30;
/// How long a cancelled run may take to end, and what it wrote to come out.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the job to its end.
pub(super) fn carry_out(job: &LocalJob, flags: &RunArgs, environment: &Environment) -> Ending {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(Failure::new(Reason::WorkerKilled, format!("unable to start: {error}"))),
    };
    let ending = runtime.block_on(async { attempt(job, flags, environment).await.unwrap_or_else(refused) });
    // A blocking read that nobody waits for must not hold up the exit.
    runtime.shutdown_background();
    ending
}

async fn attempt(job: &LocalJob, flags: &RunArgs, environment: &Environment) -> Result<Ending, Failure> {
    // Whoever made a client before has chosen the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut signals = Signals::listen().map_err(|error| not_started("listen for signals", &error))?;
    let no_cache = || Failure::new(Reason::InvalidSpec, "no place to keep fetched files: set --cache-dir, WASMJOB_CACHE_DIR or HOME");
    let cache = environment.cache_directory(flags.cache_dir.as_deref()).ok_or_else(no_cache)?;
    let cache = std::path::absolute(&cache).map_err(|error| not_started("find the cache directory", &error))?;
    let destination = destination(job, flags, &cache)?;
    let config = config(job, flags, environment, cache).await?;
    let line = Line::wanted(flags.quiet);
    let Streams { stdout, stderr, carriers } = streams(line.as_ref()).map_err(|error| not_started("copy stdout", &error))?;
    let observer = Arc::new(Observer::default());
    let task = Task {
        identity: identity(job).map_err(|error| not_started("draw random numbers", &error))?,
        what: job.job.spec.run.clone(),
        local: job.local.clone(),
        s3: None,
        given: Given::default(),
        stdin: stdin(flags).map_err(|error| Failure::new(Reason::FetchNotFound, format!("--stdin: {error}")))?,
        stdout,
        stderr,
        output_directory: destination.staging(),
        flatten_single_output: true,
        observer: observer.clone(),
    };
    let following = line.clone().map(|line| tokio::spawn(async move { line.follow(observer).await }));
    let ending = drive(config, task, &mut signals).await;
    // The streams end with the task that held them; what is still in them goes out before the summary.
    let carried = tokio::task::spawn_blocking(move || carriers.into_iter().for_each(|carrier| drop(carrier.join())));
    let _ = tokio::time::timeout(LAST_WORDS, carried).await;
    if let Some(following) = following {
        following.abort();
    }
    if let Some(line) = &line {
        line.clear();
    }
    Ok(keep_outputs(ending?, destination, line.is_some()))
}

/// The runner, from its start to its end. The first signal cancels the run and waits for what is left to say; a second one does not wait.
async fn drive(config: runner::Config, task: Task, signals: &mut Signals) -> Result<Ending, Failure> {
    let (observer, start_time) = (task.observer.clone(), jiff::Timestamp::now());
    let runner = Runner::start(config).map_err(|error| not_started("start the runner", &error))?;
    let mut run = Box::pin(runner.run(task));
    let signal = tokio::select! {
        report = &mut run => return Ok(Ending { report, signal: None }),
        signal = signals.next() => signal,
    };
    observer.cancel();
    let report = tokio::select! {
        report = &mut run => report,
        () = tokio::time::sleep(LAST_WORDS) => cancelled(start_time),
        _ = signals.next() => cancelled(start_time),
    };
    Ok(Ending { report, signal: Some(signal) })
}

fn cancelled(start_time: jiff::Timestamp) -> Report {
    let mut report = exit::never_ran(Reason::Cancelled, "the run was cancelled", start_time);
    report.finish_time = jiff::Timestamp::now();
    report
}

/// Puts the outputs in their place where a guest came to its own end and they were not refused; a run that did not leaves those of the
/// run before it there.
fn keep_outputs(mut ending: Ending, destination: Destination, on_terminal: bool) -> Ending {
    let outcome = &ending.report.outcome;
    let refused = matches!(outcome.reason, Reason::OutputUnsafe | Reason::OutputTooLarge);
    if ending.signal.is_some() || outcome.exit_code.is_none() || refused {
        return ending;
    }
    match destination.keep() {
        Ok(kept) if on_terminal => summary(kept.as_ref(), &ending.report),
        Ok(_) => {}
        Err(error) => {
            let outcome = &mut ending.report.outcome;
            if outcome.reason == Reason::Completed {
                outcome.reason = Reason::PublishFailed;
                outcome.message = error.to_string();
            } else {
                exit::say(&format!("wasmjob: {error}"));
            }
        }
    }
    ending
}

fn summary(kept: Option<&Kept>, report: &Report) {
    if let Some(Kept { directory, files, bytes }) = kept {
        let directory = std::env::current_dir().ok().and_then(|here| directory.strip_prefix(here).ok()).unwrap_or(directory);
        let plural = if *files == 1 { "" } else { "s" };
        exit::say(&format!("wasmjob: {files} file{plural} ({}) in {}/", indicatif::BinaryBytes(*bytes), directory.display()));
    }
    for map in &report.config_maps {
        exit::say(&format!("wasmjob: {} becomes a ConfigMap in a cluster only", map.output));
    }
    for (name, uri) in report.results.iter().filter_map(|result| Some((&result.name, result.uri.as_ref()?))) {
        exit::say(&format!("wasmjob: {name} published at {uri}"));
    }
}

fn destination(job: &LocalJob, flags: &RunArgs, cache: &Path) -> Result<Destination, Failure> {
    let of_name = || PathBuf::from(format!("{}-outputs", job.job.metadata.name.as_deref().unwrap_or("wasm")));
    let directory = flags.output_dir.clone().unwrap_or_else(of_name);
    Destination::choose(&directory, flags.overwrite, cache)
        .map_err(|error: outputs::Error| Failure::new(Reason::OutputUnsafe, error.to_string()))
}

async fn config(job: &LocalJob, flags: &RunArgs, environment: &Environment, cache: PathBuf) -> Result<runner::Config, Failure> {
    let s3 = if needs_s3(&job.job.spec.run) {
        s3_access(flags, environment).await.map_err(|error| Failure::new(Reason::CredentialDenied, error.to_string()))?
    } else {
        S3Access::default()
    };
    let ipfs = ipfs_access(&flags.ipfs_gateways, flags.ipfs_api.as_ref(), environment);
    let fetch = FetchConfig {
        limits: FetchLimits::default(),
        // The user names the addresses, and they are as near as the user is: the own machine and network are not out of reach.
        addresses: AddressPolicy { allow_private: true, ..AddressPolicy::default() },
        s3,
        ipfs: ipfs.map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?,
    };
    Ok(runner::Config {
        cache_directory: cache,
        store_capacity_bytes: STORE_CAPACITY_BYTES,
        fetch,
        limits: runner::GuestLimits::default(),
        idle_workers: 1,
        lease: None,
        may_lack: may_lack(flags),
    })
}

/// The walls that this machine may lack. A system that has none at all is somebody's own: it runs with wasmtime's alone, and says so.
fn may_lack(flags: &RunArgs) -> Vec<Wall> {
    if cfg!(target_os = "linux") {
        return flags.may_lack.clone();
    }
    let missing = walls::missing();
    let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
    exit::say(&format!("wasmjob: this system has no {}: the program runs with wasmtime's own sandbox alone", names.join(" and no ")));
    missing
}

fn not_started(what: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    Failure::new(Reason::WorkerKilled, format!("unable to {what}: {}", causes.collect::<Vec<_>>().join(": ")))
}

/// The signals that end a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one, by its number.
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hang_up.recv() => SignalKind::hangup(),
        };
        kind.as_raw_value()
    }
}
