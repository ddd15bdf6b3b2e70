//! Seeded schedules: operators, agents, people, the network and the clocks, in any order, with any faults; then faults stop.
//!
//! A seed that fails is printed, with the shortest schedule that was found by leaving steps out of it. It is no proof: the rules that
//! random schedules miss have directed ones.

mod faults;
mod shrink;
mod trace;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use fastrand::Rng;
use serde_json::json;

use self::shrink::shrunk;
use super::clock::Clock;
use super::guest::Ending;
use super::without::Without;
use super::world::{Step, User, World};

/// The schedules of one run of the tests: widen it for more; to replay one, let it be this one alone.
const SEEDS: Range<u64> = 0..3_000;

/// What a seed makes of the world before anything happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u64);

impl Seed {
    /// The world, and what chooses the steps in it.
    fn world(self, without: Without) -> (World, Rng) {
        let mut rng = Rng::with_seed(self.0);
        let mut world = World::new(rng.usize(1..=2), rng.usize(1..=3), without);
        let mut clock = || Clock { rate: rng.u64(996..=1004), ahead: rng.i64(-3_000..=3_000) };
        world.operators.iter_mut().for_each(|operator| operator.clock = clock());
        world.agents.iter_mut().for_each(|agent| agent.clock = clock());
        world.guest_runs = rng.choice([50, 500, 3_000, 15_000]).unwrap_or(500);
        for job in JOBS {
            let endings = (0..rng.usize(1..=4)).map(|_| ending(&mut rng)).collect();
            world.scripts.insert(Arc::from(job), endings);
        }
        for process in world.processes() {
            world.step(&Step::Start(process)).expect("a process starts");
        }
        (world, rng)
    }
}

const JOBS: [&str; 3] = ["carve", "scan", "sort"];

fn ending(rng: &mut Rng) -> Ending {
    match rng.u8(0..10) {
        0..=4 => Ending::Completes,
        5..=7 => Ending::Fails,
        8 => Ending::CannotFetch,
        _ => Ending::KillsAgent,
    }
}

/// A job as somebody may write it.
fn job(rng: &mut Rng) -> Step {
    let name = rng.choice(JOBS).unwrap_or("carve");
    let mut spec = json!({ "args": [rng.u8(0..2).to_string()], "backoffLimit": rng.u8(0..3) });
    if rng.u8(0..8) == 0 {
        spec["activeDeadlineSeconds"] = rng.u8(1..60).into();
    }
    if rng.u8(0..8) == 0 {
        spec["ttlSecondsAfterFinished"] = rng.u8(0..20).into();
    }
    if rng.u8(0..8) == 0 {
        spec["suspend"] = true.into();
    }
    Step::User(User::Create { name: name.into(), spec: World::job_spec(&spec) })
}

/// One schedule: the steps that were taken, and what broke. The states that it came through are added.
fn run(seed: Seed, without: Without, states: &mut HashSet<u64>) -> (Vec<Step>, Option<String>) {
    let (mut world, mut rng) = seed.world(without);
    let mut steps = Vec::new();
    let faulty = rng.u32(0..60);
    for _ in 0..rng.usize(50..500) {
        let step = faults::choose(&world, &mut rng, faulty);
        let taken = world.step(&step);
        states.insert(world.outline());
        steps.push(step);
        if let Err(why) = taken {
            return (steps, Some(why));
        }
    }
    (steps, world.settle().err())
}

/// The steps again, as far as they are possible.
fn replay(seed: Seed, without: Without, steps: &[Step]) -> Option<String> {
    let (mut world, _) = seed.world(without);
    for step in steps {
        if let Err(why) = world.step(step) {
            return Some(why);
        }
    }
    world.settle().err()
}

/// The shortest schedule that was found to break as this one, told step by step.
fn told(seed: Seed, steps: Vec<Step>) -> String {
    let without = Without::default();
    let shortest = shrunk(steps, |steps| replay(seed, without, steps).is_some());
    let (world, _) = seed.world(without);
    trace::told(world, &shortest)
}

#[test]
fn no_order_of_things_breaks_an_invariant() {
    let (mut steps_taken, mut states, mut wrong) = (0, HashSet::new(), Vec::new());
    for seed in SEEDS.map(Seed) {
        let (steps, why) = run(seed, Without::default(), &mut states);
        steps_taken += steps.len();
        if let Some(why) = why {
            wrong.push(format!("{seed:?}: {why}\n{}", told(seed, steps)));
        }
        if wrong.len() > 4 {
            break;
        }
    }
    println!("random: {} schedules, {steps_taken} steps before faults stop, {} distinct states", SEEDS.end - SEEDS.start, states.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
