//! An enumerator of schedules: things go on as they should, but for one fault, or two, at every place at which they can be.
//!
//! The place of a fault is the number of the step after which it comes. Everything else is the same each time, so a schedule is a few
//! numbers, and one that fails is told by them.

use std::collections::BTreeSet;

use serde_json::json;

use super::guest::Ending;
use super::network::Process;
use super::paths::{create, running};
use super::without::Without;
use super::world::{Step, User, World};

/// A fault, at the step that would come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The process is killed, and started again.
    Kill(Process),
    /// The API server carries out what was asked; the answer is lost.
    LoseAnswer,
    /// Who asked hears nothing; the request arrives later, at the end of all.
    Delay,
    /// SIGSTOP for longer than the Lease lasts.
    Stop(Process),
    /// Nothing gets through to the API server for longer than the Lease lasts.
    Cut(Process),
    /// The journal is lost, with the agent.
    LoseJournal(usize),
    /// Every watch of the process breaks off and begins with a list.
    Break(Process),
}

const OPERATORS: usize = 2;
const AGENTS: usize = 2;
/// Longer than L.
const LONG: u64 = 40_000;

fn faults() -> Vec<Fault> {
    let processes = || (0..OPERATORS).map(Process::Operator).chain((0..AGENTS).map(Process::Agent));
    let of_processes =
        processes().flat_map(|process| [Fault::Kill(process), Fault::Stop(process), Fault::Cut(process), Fault::Break(process)]);
    of_processes.chain([Fault::LoseAnswer, Fault::Delay, Fault::LoseJournal(0), Fault::LoseJournal(1)]).collect()
}

/// A story that is told again and again: its beginning, and what people do in it.
struct Story {
    name: &'static str,
    endings: &'static [Ending],
    spec: serde_json::Value,
    then: fn() -> Vec<Step>,
}

fn stories() -> Vec<Story> {
    vec![
        Story { name: "completes", endings: &[Ending::Completes], spec: json!({}), then: Vec::new },
        Story {
            name: "fails, then completes",
            endings: &[Ending::Fails, Ending::Completes],
            spec: json!({ "backoffLimit": 1 }),
            then: Vec::new,
        },
        Story { name: "takes its agent along", endings: &[Ending::KillsAgent, Ending::Completes], spec: json!({}), then: Vec::new },
        Story {
            name: "is deleted",
            endings: &[Ending::Completes],
            spec: json!({}),
            then: || vec![Step::User(User::Delete("carve".into()))],
        },
        Story {
            name: "is deleted and created again",
            endings: &[Ending::Completes],
            spec: json!({}),
            then: || vec![Step::User(User::Delete("carve".into())), create("carve", &json!({ "args": ["again"] }))],
        },
        Story {
            name: "is suspended and resumed",
            endings: &[Ending::Completes],
            spec: json!({}),
            then: || {
                let set = |value: bool| Step::User(User::Set { name: "carve".into(), field: "suspend", value: json!(value) });
                vec![set(true), set(false)]
            },
        },
        Story {
            name: "is cancelled",
            endings: &[Ending::Completes],
            spec: json!({}),
            then: || vec![Step::User(User::Set { name: "carve".into(), field: "cancel", value: json!(true) })],
        },
        Story {
            name: "is edited",
            endings: &[Ending::Completes],
            spec: json!({}),
            then: || vec![Step::User(User::Set { name: "carve".into(), field: "args", value: json!(["other"]) })],
        },
    ]
}

/// A world just after the job of the story was created.
fn begin(story: &Story) -> World {
    let mut world = running(OPERATORS, AGENTS, Without::default());
    world.scripts.insert("carve".into(), story.endings.to_vec());
    world.step(&create("carve", &story.spec)).expect("it is created");
    world
}

/// One step as it should be; time where nothing else is possible. `None`: the story is over.
fn go_on(world: &mut World) -> Result<Option<Step>, String> {
    let step = match world.next_fair() {
        Some(step) => step,
        None if world.is_finished() => return Ok(None),
        None => Step::Tick((world.next_due() - world.now).max(1)),
    };
    world.step(&step)?;
    Ok(Some(step))
}

fn strike(world: &mut World, fault: Fault) -> Result<(), String> {
    let next = world.next_fair();
    let wire = match next {
        Some(Step::Serve(wire)) => Some(wire),
        _ => None,
    };
    match (fault, wire) {
        (Fault::Kill(process), _) => {
            world.step(&Step::Kill(process))?;
            world.step(&Step::Start(process)).map(drop)
        }
        (Fault::LoseAnswer, Some(wire)) => {
            world.step(&Step::Serve(wire))?;
            world.step(&Step::Silence(wire)).map(drop)
        }
        (Fault::Delay, Some(wire)) => world.step(&Step::Silence(wire)).map(drop),
        (Fault::LoseAnswer | Fault::Delay, None) => Ok(()),
        (Fault::Stop(process), _) => {
            world.step(&Step::Stop(process))?;
            world.run_for(LONG)?;
            world.step(&Step::Continue(process)).map(drop)
        }
        (Fault::Cut(process), _) => {
            world.step(&Step::Cut(process))?;
            world.run_for(LONG)?;
            world.step(&Step::Heal(process)).map(drop)
        }
        (Fault::LoseJournal(agent), _) => {
            world.step(&Step::LoseJournal(agent))?;
            world.step(&Step::Start(Process::Agent(agent))).map(drop)
        }
        (Fault::Break(process), _) => {
            for kind in super::api::Kind::ALL {
                world.step(&Step::Break(process, kind))?;
            }
            Ok(())
        }
    }
}

/// Every fault after every step of the story.
#[test]
fn one_fault_anywhere_breaks_nothing() {
    let (mut schedules, mut states, mut wrong) = (0_usize, BTreeSet::new(), Vec::new());
    for story in stories() {
        let mut world = begin(&story);
        let mut steps = 0;
        let mut then = (story.then)().into_iter();
        loop {
            for fault in faults() {
                let mut struck = world.clone();
                let mut rest = then.clone();
                let result = strike(&mut struck, fault)
                    .and_then(|()| rest.try_for_each(|step| struck.step(&step).map(drop)))
                    .and_then(|()| struck.settle());
                schedules += 1;
                if let Err(why) = result {
                    wrong.push(format!("{:?}, {fault:?} after step {steps}: {why}", story.name));
                }
            }
            states.insert(world.outline());
            steps += 1;
            if steps % 8 == 0
                && let Some(step) = then.next()
            {
                world.step(&step).expect("people may");
            } else if go_on(&mut world).expect("nothing is wrong").is_none() {
                break;
            }
        }
    }
    println!("one fault: {schedules} schedules, {} states struck", states.len());
    assert!(wrong.is_empty(), "{} schedules break it:\n{}", wrong.len(), wrong.join("\n"));
}
