//! P8, P14, P15, P16: leaders that come and go, and what they cannot know.

use serde_json::json;

use super::super::api::{Deleter, Key, Kind, Request};
use super::super::network::Process;
use super::super::paths::create;
use super::super::without::Rule;
use super::super::world::{Step, User, World};
use super::{Row, check, holds, row};

/// Who leads, and who does not.
fn leader_and_other(world: &World) -> (Process, Process) {
    let leads = world.operators.iter().position(super::super::operator::Operator::leads).expect("somebody leads");
    (Process::Operator(leads), Process::Operator(1 - leads))
}

fn drain(world: &mut World, node: &str, drained: bool) -> Result<(), String> {
    world.step(&Step::User(User::Drain(node.into(), drained))).map(drop)
}

/// The leader is stopped until another one has taken over; it returns with a late view of the nodes and writes at once.
fn a_former_leader_that_goes_on(world: &mut World) -> Result<(), String> {
    world.guest_runs = 60_000;
    let (former, next) = leader_and_other(world);
    world.step(&Step::Hold(former, Kind::Node))?;
    world.step(&Step::Stop(former))?;
    drain(world, "n1", true)?;
    world.create("carve")?;
    world.until("the next leader assigns it", |world| world.runs("carve", "n2"))?;
    drain(world, "n1", false)?;
    world.step(&Step::Continue(former))?;
    let _ = next;
    for _ in 0..4 {
        world.alone(former)?;
    }
    Ok(())
}

/// A former leader finds an object that the next one has not taken over yet.
fn a_former_leader_and_a_new_object(world: &mut World) -> Result<(), String> {
    world.guest_runs = 60_000;
    let (former, next) = leader_and_other(world);
    world.step(&Step::Stop(former))?;
    let leads = |world: &World| matches!(next, Process::Operator(number) if world.operators[number].begun);
    world.until("the next one leads", leads)?;
    world.step(&Step::Hold(next, Kind::Node))?;
    world.step(&Step::User(User::DeleteNode("n2".into(), Deleter::EndOfNamespace)))?;
    world
        .until("n2 has another object", |world| world.api.get(&Key::node("n2")).is_some_and(|node| node["status"]["agent"] == "pod-n2"))?;
    // So far the former leader sees the nodes.
    let seen = world.api.revision;
    world.create("carve")?;
    world.until("the next one assigns it", |world| world.runs("carve", "n1"))?;
    world.step(&Step::Continue(former))?;
    let Process::Operator(number) = former else { return Ok(()) };
    while matches!(world.operators[number].watches.get(&Kind::Node), Some(super::super::network::Watch::At(at)) if *at < seen)
        && world.step(&Step::Watch(former, Kind::Node))?
    {}
    world.step(&Step::Hold(former, Kind::Node))?;
    world.alone(former)
}

/// An object vanishes while nobody leads, and its agent cannot make another one.
fn an_object_that_vanishes_unseen(world: &mut World) -> Result<(), String> {
    world.guest_runs = 60_000;
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    let (node, agent) = world.place_of("carve");
    let (leader, _) = leader_and_other(world);
    world.step(&Step::Kill(leader))?;
    world.run_for(10_000)?;
    world.step(&Step::Cut(Process::Agent(agent)))?;
    world.step(&Step::User(User::DeleteNode(node, Deleter::EndOfNamespace)))?;
    world.run_for(20_000)
}

fn a_job_deleted_while_nobody_leads(world: &mut World) -> Result<(), String> {
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    world.step(&Step::Kill(Process::Operator(0)))?;
    world.step(&Step::User(User::Delete("carve".into()))).map(drop)
}

/// A backup of a minute ago is restored while the leader is stopped, and nothing but versions shows it.
fn a_restored_backup(world: &mut World) -> Result<(), String> {
    let operator = Process::Operator(0);
    world.step(&create("carve", &json!({ "suspend": true })))?;
    world.until("it is told to be suspended", |world| world.job("carve").is_some_and(|job| job["status"]["run"] == 1))?;
    world.step(&Step::BackUp)?;
    world.run_for(60_000)?;
    world.set("carve", "backoffLimit", json!(3))?;
    world.run_for(1_000)?;
    world.step(&Step::Stop(operator))?;
    world.step(&Step::Restore)?;
    world.step(&Step::Continue(operator))?;
    world.run_for(1_000)
}

/// Two of three nodes go for good.
fn more_than_half_of_the_nodes_go(world: &mut World) -> Result<(), String> {
    world.guest_runs = 10_000;
    for name in ["carve", "scan", "sort"] {
        world.create(name)?;
    }
    world.until("they run", |world| world.guests().count() == 3)?;
    world.step(&Step::Kill(Process::Agent(0)))?;
    world.step(&Step::Kill(Process::Agent(1)))?;
    let ended =
        |world: &World| world.job_names().iter().all(|name| world.job(name).is_some_and(|job| job["status"]["completionTime"].is_string()));
    world.run_until(world.now + 20 * 60_000, ended)?;
    if ended(world) { Ok(()) } else { Err("the brake does not end".to_owned()) }
}

/// The new leader's patch of a node is lost, and the former leader assigns the job there.
fn a_node_that_was_not_taken_over(world: &mut World) -> Result<(), String> {
    world.guest_runs = 60_000;
    let (former, next) = leader_and_other(world);
    world.step(&Step::Hold(former, Kind::Node))?;
    world.step(&Step::Stop(former))?;
    world.create("carve")?;
    let adopts = |request: &Request| {
        matches!(request, Request::Patch { key, .. } if *key.name == *"n1") && super::is_spec_patch(request, "replace", "/spec/epoch")
    };
    let lost = world.delay(next, adopts)?;
    world.step(&Step::Lose(lost))?;
    world.until("the next leader assigns it", |world| world.wire(next, super::adds).is_some())?;
    let adds = world.wire(next, super::adds).expect("it was just there");
    world.arrives(adds)?;
    world.step(&Step::Continue(former))?;
    world.alone(former)
}

/// The deadline is taken away before the operator has seen that.
fn a_deadline_that_is_no_more(world: &mut World) -> Result<(), String> {
    world.step(&Step::User(User::Drain("n1".into(), true)))?;
    world.step(&create("carve", &json!({ "activeDeadlineSeconds": 5 })))?;
    world.run_for(2_000)?;
    world.step(&Step::Hold(Process::Operator(0), Kind::Job))?;
    world.set("carve", "activeDeadlineSeconds", json!(null))?;
    world.run_for(10_000)
}

fn a_deadline_of_a_job_that_no_node_takes(world: &mut World) -> Result<(), String> {
    world.step(&Step::User(User::Drain("n1".into(), true)))?;
    world.step(&create("carve", &json!({ "activeDeadlineSeconds": 5 })))?;
    world.run_for(10_000)?;
    world.ended("carve")
}

pub(super) const LEADERS: &[Row] = &[
    row(Rule::P8Epoch, "P8: a former leader that goes on", (2, 2), a_former_leader_that_goes_on),
    row(Rule::P8Settled, "P8: a node that was not taken over", (2, 2), a_node_that_was_not_taken_over),
    row(Rule::P8NewNode, "P8: a former leader and a new object", (2, 2), a_former_leader_and_a_new_object),
    row(Rule::P14Leader, "P14: an object that vanishes unseen", (2, 2), an_object_that_vanishes_unseen),
];

#[test]
fn one_leader_at_a_time_decides() {
    check(LEADERS);
}

pub(super) const MEANWHILE: &[Row] = &[
    row(Rule::P9Look, "P9: a deadline that is no more", (1, 1), a_deadline_that_is_no_more).given_without(&[Rule::P4Version]),
    row(Rule::P14Orphans, "P14: a job deleted while nobody leads", (1, 1), a_job_deleted_while_nobody_leads),
    row(Rule::P15Back, "P15: a restored backup", (1, 1), a_restored_backup),
    row(Rule::P16Brake, "P16: more than half of the nodes go", (1, 3), more_than_half_of_the_nodes_go),
];

#[test]
fn what_happened_meanwhile_is_found() {
    check(MEANWHILE);
    holds("P9: a deadline of a job that no node takes", 1, 1, a_deadline_of_a_job_that_no_node_takes);
}
