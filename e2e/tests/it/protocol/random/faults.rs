//! Which step comes next: mostly what is possible, sometimes a fault. Does nothing itself.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::json;

use super::super::api::{Deleter, Kind};
use super::super::network::{Life, Process};
use super::super::world::{Step, User, World};
use super::{JOBS, job};

/// The next step. `faulty` in a thousand are faults.
pub(super) fn choose(world: &World, rng: &mut Rng, faulty: u32) -> Step {
    let roll = rng.u32(0..1000);
    if roll < faulty {
        return fault(world, rng);
    }
    match rng.u32(0..1000) {
        0..=29 => network(world, rng),
        30..=69 => recover(world, rng),
        70..=99 => people(world, rng),
        100..=249 => time(rng),
        250..=349 => guest(world, rng),
        _ => {
            let mut possible = world.possible();
            if possible.is_empty() { time(rng) } else { possible.swap_remove(rng.usize(0..possible.len())) }
        }
    }
}

fn time(rng: &mut Rng) -> Step {
    Step::Tick(match rng.u8(0..20) {
        0 => rng.u64(5_000..45_000),
        1..=4 => rng.u64(1_000..5_000),
        _ => rng.u64(1..1_000),
    })
}

fn guest(world: &World, rng: &mut Rng) -> Step {
    let guests: Vec<_> = world.guests().collect();
    match guests.get(rng.usize(0..guests.len().max(1))) {
        Some(guest) => Step::End(guest.fence.clone(), world.scripted(guest)),
        None => time(rng),
    }
}

/// Answers that do not come, and requests that come late.
fn network(world: &World, rng: &mut Rng) -> Step {
    let wires: Vec<u32> = world.wires.keys().copied().collect();
    let Some(wire) = wires.get(rng.usize(0..wires.len().max(1))).copied() else { return time(rng) };
    match rng.u8(0..7) {
        0 => Step::Lose(wire),
        1 | 2 => Step::Serve(wire),
        3 => Step::Repeat(wire),
        _ => Step::Silence(wire),
    }
}

fn process(world: &World, rng: &mut Rng) -> Process {
    let all: Vec<_> = world.processes().collect();
    all[rng.usize(0..all.len())]
}

/// Whoever is down, stopped or cut off comes back.
fn recover(world: &World, rng: &mut Rng) -> Step {
    let process = process(world, rng);
    match world.life(process) {
        Life::Down => Step::Start(process),
        Life::Stopped => Step::Continue(process),
        Life::Up => Step::Heal(process),
    }
}

fn people(world: &World, rng: &mut Rng) -> Step {
    let name: Arc<str> = rng.choice(JOBS).unwrap_or("carve").into();
    let set = |field, value| Step::User(User::Set { name: name.clone(), field, value });
    match rng.u8(0..16) {
        0..=6 => job(rng),
        7 => Step::User(User::Delete(name)),
        8 | 9 => set("suspend", json!(true)),
        10 | 11 => set("suspend", json!(false)),
        12 => set("cancel", json!(true)),
        13 => set("args", json!([rng.u8(0..2).to_string()])),
        14 => set("backoffLimit", json!(rng.u8(0..3))),
        _ => {
            let nodes: Vec<_> = world.nodes.keys().cloned().collect();
            Step::User(User::Drain(nodes[rng.usize(0..nodes.len())].clone(), rng.bool()))
        }
    }
}

fn fault(world: &World, rng: &mut Rng) -> Step {
    let process = process(world, rng);
    let agent = rng.usize(0..world.agents.len());
    match rng.u8(0..16) {
        4 | 5 => Step::Stop(process),
        6 | 7 => Step::Cut(process),
        8 | 9 => Step::Break(process, rng.choice(Kind::ALL).unwrap_or(Kind::Node)),
        10 => Step::LoseJournal(agent),
        11 if world.agents.len() < 5 => Step::SecondPod(agent),
        0 => Step::User(User::DeleteKubeNode(world.agents[agent].node.clone())),
        12 => Step::Terminate(agent),
        13 => Step::User(User::DeleteNode(world.agents[agent].node.clone(), Deleter::User)),
        14 => Step::User(User::DeleteNode(world.agents[agent].node.clone(), Deleter::EndOfNamespace)),
        15 => {
            if rng.bool() {
                Step::BackUp
            } else {
                Step::Restore
            }
        }
        _ => Step::Kill(process),
    }
}
