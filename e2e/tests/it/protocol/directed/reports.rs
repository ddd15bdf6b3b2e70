//! P7, P12, P16, P17: what becomes of a report, how endings count, and whose results are a job's.

use serde_json::json;

use super::super::api::Key;
use super::super::guest::Ending;
use super::super::network::Process;
use super::super::paths::create;
use super::super::without::Rule;
use super::super::world::{Step, World};
use super::{Row, check, row};

const OPERATOR: Process = Process::Operator(0);
const AGENT: Process = Process::Agent(0);

fn failures(world: &World) -> i64 {
    world.job("carve").map_or(0, |job| job["status"]["retries"][0]["failures"].as_i64().unwrap_or(0))
}

/// The operator is killed between folding and releasing.
fn a_crash_after_the_fold(world: &mut World) -> Result<(), String> {
    world.scripts.insert("carve".into(), vec![Ending::Fails, Ending::Completes]);
    world.step(&create("carve", &json!({ "backoffLimit": 3 })))?;
    world.until("the failure is counted", |world| failures(world) == 1)?;
    world.step(&Step::Kill(OPERATOR)).map(drop)
}

/// A refused entry's report is still there when the next entry has its id.
fn a_report_of_an_earlier_fence(world: &mut World) -> Result<(), String> {
    world.guest_runs = 5_000;
    world.create("carve")?;
    let reads = |request: &super::super::api::Request| matches!(request, super::super::api::Request::Get(key) if key.kind == super::super::api::Kind::Job);
    world.until("the agent reads the job", |world| world.wire(AGENT, reads).is_some())?;
    world.set("carve", "suspend", json!(true))?;
    world.until("it is refused", |world| {
        let node = world.api.get(&Key::node("n1")).expect("it is there");
        node["status"]["reports"].as_object().is_some_and(|reports| !reports.is_empty())
    })?;
    world.step(&Step::Cut(AGENT))?;
    world.until("it is released", |world| world.assignments("n1") == 0)?;
    world.set("carve", "suspend", json!(false))?;
    world.until("it is assigned again", |world| world.assignments("n1") == 1)?;
    world.step(&Step::Heal(AGENT)).map(drop)
}

/// The operator is away while the job ends.
fn a_report_that_nobody_sees_for_a_while(world: &mut World) -> Result<(), String> {
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    world.step(&Step::Kill(OPERATOR))?;
    world.run_for(10_000)
}

fn a_suspension_while_it_runs(world: &mut World) -> Result<(), String> {
    world.guest_runs = 20_000;
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    world.set("carve", "suspend", json!(true))?;
    world.run_for(5_000)
}

/// A guest that takes its agent along each time; whether the journal is lost, too.
fn a_guest_that_kills_agents(world: &mut World, loses_journal: bool) -> Result<(), String> {
    world.scripts.insert("carve".into(), vec![Ending::KillsAgent]);
    world.create("carve")?;
    for _ in 0..12 {
        world.run_until(world.now + 120_000, |world| {
            world.agents.iter().any(|agent| agent.life == super::super::network::Life::Down) || world.is_finished()
        })?;
        if loses_journal {
            world.step(&Step::LoseJournal(0))?;
        }
        world.step(&Step::Start(AGENT))?;
    }
    let attempts = world.ledger.attempts();
    if attempts > 6 { Err(format!("{attempts} attempts of a guest that kills agents")) } else { Ok(()) }
}

/// A node that was given up has begun to publish; its last write reaches the store late.
fn results_that_arrive_late(world: &mut World) -> Result<(), String> {
    world.guest_runs = 25_000;
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    let (node, agent) = world.place_of("carve");
    let guest = world.guests().next().expect("it runs").clone();
    world.step(&Step::Cut(Process::Agent(agent)))?;
    world.until("it runs elsewhere", |world| world.is_running("carve") && !world.runs("carve", &node))?;
    world.until("it completes", |world| world.job("carve").is_some_and(|job| job["status"]["completionTime"].is_string()))?;
    let prefix = world.prefix(&guest);
    world.published.insert(prefix, guest.fence);
    world.step(&Step::Tick(1)).map(drop)
}

/// A module that is not there.
fn a_fetch_that_fails_for_ever(world: &mut World) -> Result<(), String> {
    world.scripts.insert("carve".into(), vec![Ending::CannotFetch]);
    world.create("carve")?;
    world.run_until(world.now + 5 * 60_000, World::is_finished)?;
    let attempts = world.ledger.attempts();
    if attempts > 5 { Err(format!("{attempts} attempts to fetch")) } else { Ok(()) }
}

pub(super) const COUNTED: &[Row] = &[
    row(Rule::P7Folded, "P7: a crash after the fold", (1, 1), a_crash_after_the_fold),
    row(Rule::P7Fence, "P7: a report of an earlier fence", (1, 1), a_report_of_an_earlier_fence),
    row(Rule::P7Kept, "P7: a report that nobody sees for a while", (1, 1), a_report_that_nobody_sees_for_a_while),
    row(Rule::P7Cancel, "P7: a suspension while it runs", (1, 1), a_suspension_while_it_runs),
];

#[test]
fn reports_count_once_and_stay_until_they_are_counted() {
    check(COUNTED);
}

pub(super) const RETRIES: &[Row] = &[
    row(Rule::P16Budget, "P16: a fetch that fails for ever", (1, 1), a_fetch_that_fails_for_ever),
    row(Rule::P16Lost, "P16: a guest that kills agents", (1, 1), |world| a_guest_that_kills_agents(world, false)),
    row(Rule::P12Journal, "P12: ... and their journals", (1, 1), |world| a_guest_that_kills_agents(world, true)),
];

#[test]
fn retries_end() {
    check(RETRIES);
}

pub(super) const RESULTS: &[Row] = &[row(Rule::P17Prefix, "P17: results that arrive late", (1, 3), results_that_arrive_late)];

#[test]
fn results_are_those_of_the_attempt_that_counts() {
    check(RESULTS);
}
