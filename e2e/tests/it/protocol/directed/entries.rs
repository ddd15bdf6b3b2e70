//! P1, P2, P16: what an entry is, and that what runs is what was meant.

use serde_json::json;

use super::super::api::{Key, Kind, Request};
use super::super::network::Process;
use super::super::paths::create;
use super::super::without::Rule;
use super::super::world::{Step, User, World};
use super::{Row, check, row};

const OPERATOR: Process = Process::Operator(0);
const AGENT: Process = Process::Agent(0);

fn reads_job(request: &Request) -> bool {
    matches!(request, Request::Get(key) if key.kind == Kind::Job)
}

/// Runs until the agent is about to read the job.
fn until_it_is_read(world: &mut World) -> Result<(), String> {
    world.create("carve")?;
    world.until("the agent reads the job", |world| world.wire(AGENT, reads_job).is_some())
}

/// The job is suspended just before the agent reads it, and resumed: its next entry has the same id.
fn an_id_that_comes_twice(world: &mut World) -> Result<(), String> {
    until_it_is_read(world)?;
    world.set("carve", "suspend", json!(true))?;
    world.run_for(2_000)?;
    world.set("carve", "suspend", json!(false))
}

fn another_job_under_the_name(world: &mut World) -> Result<(), String> {
    until_it_is_read(world)?;
    world.step(&Step::User(User::Delete("carve".into())))?;
    world.step(&create("carve", &json!({ "args": ["other"] }))).map(drop)
}

fn an_edit_before_the_job_is_read(world: &mut World) -> Result<(), String> {
    until_it_is_read(world)?;
    world.set("carve", "args", json!(["other"]))
}

fn a_suspension_before_the_job_is_read(world: &mut World) -> Result<(), String> {
    until_it_is_read(world)?;
    world.set("carve", "suspend", json!(true))?;
    world.run_for(2_000)
}

fn an_edit_while_it_runs_for_the_first_time(world: &mut World) -> Result<(), String> {
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    world.set("carve", "args", json!(["other"]))
}

/// The job is suspended and resumed before the operator sees that the node cancelled it.
fn a_cancellation_that_is_overtaken(world: &mut World) -> Result<(), String> {
    world.guest_runs = 5_000;
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    world.set("carve", "suspend", json!(true))?;
    world.until("it is cancelled", |world| {
        let node = world.api.get(&Key::node("n1")).expect("it is there");
        node["spec"]["assignments"]
            .as_object()
            .into_iter()
            .flatten()
            .any(|(_, entry)| entry.as_str().is_some_and(|line| line.starts_with(crds::node::CANCEL)))
    })?;
    world.step(&Step::Hold(OPERATOR, Kind::Node))?;
    world.run_for(1_000)?;
    world.set("carve", "suspend", json!(false))?;
    world.run_for(1_000)?;
    world.step(&Step::LetGo(OPERATOR, Kind::Node)).map(drop)
}

pub(super) const ROWS: &[Row] = &[
    row(Rule::P1Fences, "P1: fences never come twice", (1, 1), an_id_that_comes_twice),
    row(Rule::P2Agent, "P2: another job under the name", (1, 1), another_job_under_the_name),
    row(Rule::P2Agent, "P2: an edit before the job is read", (1, 1), an_edit_before_the_job_is_read),
    row(Rule::P2Agent, "P2: a suspension before the job is read", (1, 1), a_suspension_before_the_job_is_read),
    row(Rule::P2Operator, "P2: an edit before the first status", (1, 1), an_edit_while_it_runs_for_the_first_time),
    row(Rule::P16Cancelled, "P16: a Cancelled report ends no job", (1, 1), a_cancellation_that_is_overtaken),
];

#[test]
fn entries_are_carried_out_as_they_are_meant_or_not_at_all() {
    check(ROWS);
}
