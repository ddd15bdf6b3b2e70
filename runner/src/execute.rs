//! One order carried out by one worker, watched from outside: its deadline, its cancellation, its output directories.
//!
//! How the guest ended is a value (`execute/outcome.rs`); `Err` is why it never began, or this machine's fault.

mod outcome;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crds::reason::Reason;
use crds::report::{NetworkDenied, Outcome, StreamReport};

use crate::failure::Failure;
use crate::mounts::OutputDirectory;
use crate::order::{Ending, Event, Order, monotonic_microseconds};
use crate::prepare::Prepared;
use crate::streams::Pipe;
use crate::task::{Observer, Sink};
use crate::workers::{Exited, Loss, Refill, Standing, Workers, Working};

/// Longest time from the order to the guest's first instruction; only a machine in trouble takes it.
const SET_UP_DEADLINE: Duration = Duration::from_mins(1);
/// How often output directories are measured at most; a walk may also take no more than a twentieth of the time.
const MEASURE_PERIOD: Duration = Duration::from_millis(100);

/// What is carried out.
pub(crate) struct Execution<'a> {
    pub(crate) standing: &'a Standing,
    pub(crate) order: &'a Order,
    pub(crate) prepared: &'a Prepared,
    pub(crate) stdin: File,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    /// Files that get all of stdout and stderr besides, where they are published.
    pub(crate) spools: Option<[File; 2]>,
    /// Bytes of each of the two streams that are passed on.
    pub(crate) stream_bytes: u64,
    pub(crate) timeout: Option<Duration>,
    pub(crate) outputs: &'a [OutputDirectory],
    pub(crate) observer: &'a Observer,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) outcome: Outcome,
    pub(crate) stdout: StreamReport,
    pub(crate) stderr: StreamReport,
    pub(crate) network_denied: Vec<NetworkDenied>,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) fuel_consumed: Option<u64>,
    pub(crate) cpu_milliseconds: u64,
    pub(crate) instantiate_microseconds: u64,
    pub(crate) ran: Duration,
}

/// Why watching ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Ended(Ending),
    /// The worker was gone without a word.
    Gone,
    Deadline(Duration),
    SetUpDeadline,
    Cancelled,
    OutputTooLarge(String),
    /// Killed with all others, or ended with the lease.
    Lost(Loss),
}

/// What a worker told while it lived.
#[derive(Debug, Default)]
struct Told {
    /// Dropped when the guest has started: the fork of the next worker would contend with its start.
    refill: Option<Refill>,
    denied: Vec<String>,
    grown_bytes: u64,
    started: Option<Instant>,
}

/// Carries the order out.
pub(crate) async fn execute(workers: &Workers, execution: Execution<'_>) -> Result<Executed, Failure> {
    let begun = monotonic_microseconds();
    let (stdout, stderr) = (Pipe::open().map_err(|error| failed(&error))?, Pipe::open().map_err(|error| failed(&error))?);
    let descriptors = [execution.prepared.compiled.as_fd(), execution.stdin.as_fd(), stdout.guest.as_fd(), stderr.guest.as_fd()];
    let (mut working, refill) = workers.begin(execution.standing, execution.order, begun, descriptors).await?;
    let (out, err) = execution.spools.map_or((None, None), |[out, err]| (Some(out), Some(err)));
    let stdout = stdout.copy(execution.stdout, out, execution.stream_bytes).map_err(|error| failed(&error))?;
    let stderr = stderr.copy(execution.stderr, err, execution.stream_bytes).map_err(|error| failed(&error))?;

    let mut told = Told { refill: Some(refill), ..Told::default() };
    let mut stop = watch(&mut working, execution.timeout, execution.outputs, execution.observer, &mut told).await;
    working.kill();
    if stop == Stop::Gone
        && let Some(loss) = execution.standing.lost()
    {
        stop = Stop::Lost(loss);
    }
    let ran = told.started.map_or(Duration::ZERO, |started| started.elapsed());
    let exited = working.ended().await.map_err(|error| failed(&error))?;
    let (stdout, stderr) = tokio::join!(stdout.finish(), stderr.finish());
    Ok(sum_up(stop, told, exited, execution.order, ran, stdout, stderr))
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(Reason::WorkerKilled, format!("failed to run the guest: {error}"))
}

fn sum_up(
    stop: Stop,
    told: Told,
    exited: Option<Exited>,
    order: &Order,
    ran: Duration,
    stdout: StreamReport,
    stderr: StreamReport,
) -> Executed {
    let outcome = outcome::outcome(&stop, exited.map(|exited| exited.status), order.limits.memory_bytes);
    let mut executed = Executed {
        outcome,
        stdout,
        stderr,
        network_denied: told.denied.into_iter().map(|call| NetworkDenied { call, times: 1 }).collect(),
        peak_memory_bytes: told.grown_bytes,
        fuel_consumed: None,
        cpu_milliseconds: exited.map_or(0, |exited| exited.cpu_milliseconds),
        instantiate_microseconds: 0,
        ran,
    };
    if let Stop::Ended(ending) = stop {
        executed.network_denied = ending.network_denied;
        executed.peak_memory_bytes = ending.peak_memory_bytes;
        executed.fuel_consumed = ending.fuel_consumed;
        executed.instantiate_microseconds = ending.instantiate_microseconds;
        executed.ran = Duration::from_micros(ending.run_microseconds);
    }
    executed
}

async fn watch(
    working: &mut Working,
    timeout: Option<Duration>,
    outputs: &[OutputDirectory],
    observer: &Observer,
    told: &mut Told,
) -> Stop {
    let set_up = tokio::time::sleep(SET_UP_DEADLINE);
    let deadline = tokio::time::sleep(timeout.unwrap_or(Duration::MAX));
    let outgrown = outgrown(outputs);
    tokio::pin!(set_up, deadline, outgrown);
    loop {
        tokio::select! {
            biased;
            event = working.event() => match event {
                None => return Stop::Gone,
                Some(Event::Ended(ending)) => return Stop::Ended(ending),
                Some(Event::Started) => {
                    told.started.get_or_insert_with(Instant::now);
                    told.refill = None;
                    if let Some(timeout) = timeout {
                        deadline.as_mut().reset(tokio::time::Instant::now() + timeout);
                    }
                }
                Some(Event::Grew(bytes)) => told.grown_bytes = told.grown_bytes.max(bytes),
                Some(Event::NetworkDenied(call)) => if told.denied.len() < 32 { told.denied.push(call); }
            },
            () = observer.cancelled() => return Stop::Cancelled,
            () = &mut set_up, if told.started.is_none() => return Stop::SetUpDeadline,
            () = &mut deadline, if told.started.is_some() && timeout.is_some() => return Stop::Deadline(timeout.unwrap_or_default()),
            message = &mut outgrown => return Stop::OutputTooLarge(message),
        }
    }
}

/// Returns when an output has outgrown its limit.
async fn outgrown(outputs: &[OutputDirectory]) -> String {
    let mut pause = MEASURE_PERIOD;
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        for output in outputs {
            let directory: PathBuf = output.directory.clone();
            let limits = output.limits;
            let measured = tokio::task::spawn_blocking(move || crate::publish::outputs::exceeds(&directory, limits)).await;
            if let Ok(Some(excess)) = measured {
                return format!("output {:?} {excess}", output.output.name);
            }
        }
        pause = MEASURE_PERIOD.max(begun.elapsed() * 20);
    }
}
