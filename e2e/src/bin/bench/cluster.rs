//! The `cluster` group: what a job costs on a real API server, against the same writes done bare. Operator and agent are the programs as
//! users have them, with connections and tokens of their own; etcd waits for the disk.

mod jobs;
mod pool;

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use e2e::bench::{Figure, Promise, Row, Unit, milliseconds};

use self::jobs::Jobs;
use self::pool::Pool;
use super::{measure_all, runtime};

/// Jobs that warm the API server up: its first seconds are dearer.
const WARMING: u32 = 300;
/// Jobs of one round of those that count jobs per second or writes.
const BATCH: u32 = 400;
/// Jobs that wait while memory is measured.
const QUEUED: u32 = 10_000;

pub(super) fn figures(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let runtime = runtime()?;
    let pool = runtime.block_on(Pool::start(folder))?;
    let jobs = runtime.block_on(async { Jobs::new(&pool) });
    runtime.block_on(jobs.run(WARMING, 32)).context("failed to warm up")?;
    let mut figures = measure_all(vec![one_by_one(&runtime, &jobs), in_flight(&runtime, &jobs)])?;
    figures.extend(measure_all(vec![writes(&runtime, &pool, &jobs, 64, 2.4), writes(&runtime, &pool, &jobs, 8, 3.2)])?);
    figures.extend(measure_all(vec![cold(&runtime, &jobs)])?);
    figures.extend(memory(&runtime, &pool, &jobs)?);
    Ok(figures)
}

/// One job after the other: the four writes of a job, with a guest between them, against the four writes.
fn one_by_one<'a>(runtime: &'a tokio::runtime::Runtime, jobs: &'a Jobs) -> Row<'a> {
    Row {
        name: "warm job, from its creation to its end in status, its guest run; bare: the same four writes",
        unit: Unit::Milliseconds,
        ours: Box::new(|| runtime.block_on(jobs.one())),
        bare: Some(Box::new(|| runtime.block_on(jobs.four_writes()))),
        rounds: 80,
        promise: Promise::Ratio(1.4),
    }
}

/// Jobs per second: at least 60 per cent of what creations and status writes alone allow.
fn in_flight<'a>(runtime: &'a tokio::runtime::Runtime, jobs: &'a Jobs) -> Row<'a> {
    let per_job = |took: std::time::Duration| milliseconds(took) / f64::from(BATCH);
    Row {
        name: "a job of many, 64 in flight, one agent (1000 ÷ this: jobs/s); bare: its creation and its status written",
        unit: Unit::Milliseconds,
        ours: Box::new(move || {
            let begun = Instant::now();
            runtime.block_on(jobs.run(BATCH, 64))?;
            Ok(per_job(begun.elapsed()))
        }),
        bare: Some(Box::new(move || {
            let begun = Instant::now();
            runtime.block_on(jobs.bare(BATCH, 64))?;
            Ok(per_job(begun.elapsed()))
        })),
        rounds: 4,
        promise: Promise::Ratio(1.0 / 0.6),
    }
}

fn writes<'a>(runtime: &'a tokio::runtime::Runtime, pool: &'a Pool, jobs: &'a Jobs, flight: usize, most: f64) -> Row<'a> {
    Row {
        name: if flight == 64 { "API writes per job, 64 in flight" } else { "API writes per job, 8 in flight" },
        unit: Unit::Writes,
        ours: Box::new(move || {
            runtime.block_on(async {
                pool.settles().await?;
                let before = pool.cluster().requests().await?;
                jobs.run(BATCH, flight).await?;
                pool.settles().await?;
                let after = pool.cluster().requests().await?;
                let writes = u32::try_from(after.since(&before).writes()).context("some thousand")?;
                Ok(f64::from(writes) / f64::from(BATCH))
            })
        }),
        bare: None,
        rounds: 3,
        promise: Promise::AtMost(most),
    }
}

/// A module that the node has never seen, by HTTP.
fn cold<'a>(runtime: &'a tokio::runtime::Runtime, jobs: &'a Jobs) -> Row<'a> {
    Row {
        name: "cold job: a module of 72 kB that the node has never seen, fetched, compiled and run; bare: the four writes",
        unit: Unit::Milliseconds,
        ours: Box::new(|| runtime.block_on(jobs.cold())),
        bare: Some(Box::new(|| runtime.block_on(jobs.four_writes()))),
        rounds: 15,
        promise: Promise::None,
    }
}

/// Memory of both programs, and what each of ten thousand waiting jobs adds to the operator's.
fn memory(runtime: &tokio::runtime::Runtime, pool: &Pool, jobs: &Jobs) -> anyhow::Result<Vec<Figure>> {
    let (operator, agent) = (pool.operator_kibibytes()?, pool.agent_kibibytes()?);
    runtime.block_on(jobs.queue(QUEUED))?;
    let with_queue = pool.operator_kibibytes()?;
    let figure = |name, unit, ours| Figure { name, unit, ours, bare: None, ratio: None, promise: Promise::None };
    let per_job = (with_queue - operator) / f64::from(QUEUED);
    Ok(vec![
        figure("operator: memory per queued job, at 10 000", Unit::Kibibytes, per_job),
        figure("operator: resident memory after some thousand jobs", Unit::Mebibytes, operator / 1024.0),
        figure("agent: resident memory after some thousand jobs", Unit::Mebibytes, agent / 1024.0),
    ])
}
