//! The paths on which nothing goes wrong: a job, many jobs, and how few writes they take.

use serde_json::json;

use super::guest::Ending;
use super::network::Process;
use super::without::Without;
use super::world::{Step, User, World};

/// Operators and agents that run, as many as that.
pub(crate) fn running(operators: usize, nodes: usize, without: Without) -> World {
    let mut world = World::new(operators, nodes, without);
    for process in world.processes() {
        world.step(&Step::Start(process)).expect("a process starts");
    }
    world.run_for(3_000).expect("everybody comes up");
    world
}

/// A job of that name.
pub(crate) fn create(name: &str, fields: &serde_json::Value) -> Step {
    Step::User(User::Create { name: name.into(), spec: World::job_spec(fields) })
}

#[test]
fn a_job_runs_and_its_result_is_in_its_status() {
    let mut world = running(1, 2, Without::default());
    world.step(&create("carve", &json!({}))).expect("it is created");
    world.settle().expect("it ends");
    let job = world.job("carve").expect("it is there");
    assert_eq!(job["status"]["conditions"][0]["reason"], "Completed", "{job}");
    assert_eq!(world.ledger.attempts(), 1);
    assert!(world.life(Process::Operator(0)) == super::network::Life::Up);
}

#[test]
fn a_job_that_fails_is_tried_as_often_as_it_says() {
    let mut world = running(1, 2, Without::default());
    world.scripts.insert("carve".into(), vec![Ending::Fails]);
    world.step(&create("carve", &json!({ "backoffLimit": 2 }))).expect("it is created");
    world.settle().expect("it ends");
    let job = world.job("carve").expect("it is there");
    assert_eq!(job["status"]["conditions"][0]["reason"], "BackoffLimitExceeded", "{job}");
    assert_eq!(world.ledger.attempts(), 3);
}
