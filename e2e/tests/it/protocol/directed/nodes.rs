//! P10, P11, P12, P14: nodes that go and come back, and objects that vanish.

use serde_json::json;

use super::super::api::{Deleter, Key, Kind, Request};
use super::super::network::Process;
use super::super::without::Rule;
use super::super::world::{Step, User, World};
use super::{Row, check, holds, row};

const OPERATOR: Process = Process::Operator(0);

/// A guest that runs long, and where.
fn runs_long(world: &mut World) -> Result<(String, Process), String> {
    world.guest_runs = 60_000;
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    let (node, agent) = world.place_of("carve");
    Ok((node.to_string(), Process::Agent(agent)))
}

fn an_agent_that_is_cut_off(world: &mut World) -> Result<(), String> {
    let (_, agent) = runs_long(world)?;
    world.step(&Step::Cut(agent))?;
    world.run_for(40_000)
}

/// The operator hears nothing of any Lease for longer than the brake holds; the agents are well.
fn a_watch_that_is_silent(world: &mut World) -> Result<(), String> {
    runs_long(world)?;
    world.guest_runs = 20 * 60_000;
    world.step(&Step::Hold(OPERATOR, Kind::Lease))?;
    world.run_for(12 * 60_000)?;
    world.guest_runs = 60_000;
    Ok(())
}

fn an_agent_that_is_stopped(world: &mut World) -> Result<(), String> {
    let (_, agent) = runs_long(world)?;
    world.step(&Step::Stop(agent))?;
    world.run_for(40_000)
}

/// The Lease lapses and is renewed before anybody gives the node up.
fn an_agent_that_comes_back(world: &mut World) -> Result<(), String> {
    let (_, agent) = runs_long(world)?;
    world.step(&Step::Cut(agent))?;
    world.run_for(25_000)?;
    world.step(&Step::Heal(agent))?;
    world.run_for(5_000)
}

/// A backup brings an entry back that has ended.
fn an_entry_that_returns(world: &mut World) -> Result<(), String> {
    world.create("carve")?;
    world.until("it runs", |world| world.is_running("carve"))?;
    world.step(&Step::BackUp)?;
    world.until("it is done", World::is_finished)?;
    world.step(&Step::Restore)?;
    world.run_for(5_000)
}

fn a_second_pod(world: &mut World) -> Result<(), String> {
    let (_, agent) = runs_long(world)?;
    let Process::Agent(number) = agent else { return Ok(()) };
    world.step(&Step::Cut(agent))?;
    world.step(&Step::SecondPod(number))?;
    world.run_for(15_000)
}

/// The object vanishes while its agent cannot make another one.
fn vanishes(world: &mut World, by: Deleter) -> Result<(), String> {
    let (node, agent) = runs_long(world)?;
    world.step(&Step::Cut(agent))?;
    world.step(&Step::User(User::DeleteNode(node.as_str().into(), by)))?;
    world.run_for(15_000)
}

/// A watch tells of an early version of an object that a live GET has not found any more.
fn a_late_event_of_a_vanished_object(world: &mut World) -> Result<(), String> {
    world.step(&Step::Hold(OPERATOR, Kind::Node))?;
    // The watch has these to tell yet when the job is assigned.
    for drained in [true, false] {
        world.step(&Step::User(User::Drain("n1".into(), drained)))?;
    }
    let (node, agent) = runs_long(world)?;
    assert_eq!(node, "n1");
    world.set("carve", "suspend", json!(true))?;
    let cancels = |request: &Request| super::is_spec_patch(request, "replace", "/spec/assignments/");
    world.until("the operator cancels it", |world| world.wire(OPERATOR, cancels).is_some())?;
    world.step(&Step::Cut(agent))?;
    world.step(&Step::User(User::DeleteNode(node.as_str().into(), Deleter::EndOfNamespace)))?;
    world.alone(OPERATOR)?;
    world.set("carve", "suspend", json!(false))?;
    world.alone(OPERATOR)?;
    world.step(&Step::LetGo(OPERATOR, Kind::Node))?;
    world.step(&Step::Watch(OPERATOR, Kind::Node))?;
    world.step(&Step::Hold(OPERATOR, Kind::Node))?;
    world.run_for(10_000)
}

/// An object that was made anew is seen before an answer that says that there is none.
fn a_late_answer_about_a_vanished_object(world: &mut World) -> Result<(), String> {
    world.guest_runs = 60_000;
    world.step(&Step::User(User::Drain("n2".into(), true)))?;
    world.step(&Step::User(User::Drain("n3".into(), true)))?;
    world.create("carve")?;
    world.until("it is assigned", |world| world.wire(OPERATOR, super::adds).is_some())?;
    world.step(&Step::User(User::DeleteNode("n1".into(), Deleter::EndOfNamespace)))?;
    let adds = world.wire(OPERATOR, super::adds).expect("it was just there");
    world.step(&Step::Serve(adds))?;
    world.step(&Step::Answer(adds))?;
    let reads = |request: &Request| matches!(request, Request::Get(key) if key.kind == Kind::Node);
    let read = world.wire(OPERATOR, reads).expect("it reads what is there");
    world.step(&Step::Serve(read))?;
    // The answer, that nothing is there, takes its time; meanwhile the agent makes another object.
    let pending = world.wires.remove(&read).expect("it was served");
    world.until("n1 is taken over again", |world| world.api.get(&Key::node("n1")).is_some_and(|node| node["spec"]["epoch"] == 1))?;
    world.run_for(3_000)?;
    world.wires.insert(read, pending);
    Ok(())
}

pub(super) const GIVEN_UP: &[Row] = &[
    row(Rule::P10Time, "P10: an agent that is cut off", (1, 3), an_agent_that_is_cut_off),
    row(Rule::P10Look, "P10: a watch that is silent", (1, 3), a_watch_that_is_silent),
    row(Rule::P11Watchdog, "P11: an agent that is stopped", (1, 3), an_agent_that_is_stopped),
];

#[test]
fn work_is_given_away_only_when_nothing_of_it_runs() {
    check(GIVEN_UP);
}

pub(super) const COMING_BACK: &[Row] = &[
    row(Rule::P12FirstRead, "P12: an agent that comes back", (1, 2), an_agent_that_comes_back),
    row(Rule::P12SecondPod, "P12: a second pod", (1, 2), a_second_pod),
    row(Rule::P12Ended, "P12: an entry that returns", (1, 1), an_entry_that_returns).given_without(&[Rule::P12FirstRead]),
];

#[test]
fn who_comes_back_starts_nothing_twice() {
    check(COMING_BACK);
}

/// A machine is taken out of the cluster while it runs something.
fn a_node_that_is_gone_for_good(world: &mut World) -> Result<(), String> {
    let (node, agent) = runs_long(world)?;
    world.step(&Step::Kill(agent))?;
    world.step(&Step::User(User::DeleteKubeNode(node.as_str().into())))?;
    world.until("it runs elsewhere", |world| world.is_running("carve") && !world.runs("carve", &node))?;
    world.run_for(120_000)?;
    let left = [Key::node(&node), Key::lease(&node)].into_iter().filter(|key| world.api.get(key).is_some());
    let left: Vec<_> = left.map(|key| key.kind).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("of {node}, which is gone, there is still {left:?}")) }
}

pub(super) const VANISHED: &[Row] = &[
    row(Rule::P14Ghosts, "P14: an object that vanishes", (1, 3), |world| vanishes(world, Deleter::EndOfNamespace)),
    row(Rule::P14Gone, "P14: a node that is gone for good", (1, 3), a_node_that_is_gone_for_good),
    row(Rule::P14Policy, "P14: kubectl delete wjn", (1, 3), |world| vanishes(world, Deleter::User)).given_without(&[Rule::P14Ghosts]),
];

#[test]
fn what_vanishes_counts_as_running() {
    check(VANISHED);
    holds("P14: a late event of a vanished object", 1, 3, a_late_event_of_a_vanished_object);
    holds("P14: a late answer about a vanished object", 1, 3, a_late_answer_about_a_vanished_object);
}
