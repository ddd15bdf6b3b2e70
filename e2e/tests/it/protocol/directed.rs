//! Directed schedules: for each rule the short one that breaks without it. Random ones miss some of these.
//!
//! `check` runs a schedule twice: with every rule kept it must hold to its end, without the rule an invariant must break. So each row is
//! its own mutation run. P3 has none: a job has one index as yet.

mod entries;
mod leaders;
mod nodes;
mod reports;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::api::{Kind, Request};
use super::network::Process;
use super::paths::{create, running};
use super::without::{ALL, Rule, Without};
use super::world::{Step, User, World};

/// A schedule: what it does to the world, up to the moment from which everything is to go well.
type Schedule = fn(&mut World) -> Result<(), String>;

/// One schedule and the rule that it is about.
struct Row {
    name: &'static str,
    rule: Rule,
    /// Two rules often stand behind each other: what the first one keeps is shown without the second.
    given_without: &'static [Rule],
    operators: usize,
    nodes: usize,
    schedule: Schedule,
}

/// A row with so many operators and nodes.
const fn row(rule: Rule, name: &'static str, (operators, nodes): (usize, usize), schedule: Schedule) -> Row {
    Row { name, rule, given_without: &[], operators, nodes, schedule }
}

impl Row {
    const fn given_without(self, rules: &'static [Rule]) -> Self {
        Self { given_without: rules, ..self }
    }

    fn run(&self, without: Without) -> Result<(), String> {
        let mut world = running(self.operators, self.nodes, without);
        (self.schedule)(&mut world).and_then(|()| world.settle())
    }
}

/// Holds as given; breaks an invariant without the rule.
fn check(rows: &[Row]) {
    for row in rows {
        let Row { name, rule, given_without, .. } = row;
        if let Err(why) = row.run(Without::these(given_without.iter().copied())) {
            panic!("{name}: breaks although the rule is kept: {why}");
        }
        match row.run(Without::these(given_without.iter().chain([rule]).copied())) {
            Ok(()) => panic!("{name}: holds without {rule:?}: the schedule shows nothing"),
            Err(why) => println!("{name}\n    without {rule:?}: {why}"),
        }
    }
}

/// The mutation run is complete: what a switch takes away, a schedule misses.
#[test]
fn every_switch_has_a_schedule_that_breaks_without_it() {
    let tables = [entries::ROWS, leaders::LEADERS, leaders::MEANWHILE, nodes::GIVEN_UP, nodes::COMING_BACK, nodes::VANISHED];
    let more = [reports::COUNTED, reports::RETRIES, reports::RESULTS, writes::TESTED, writes::ANSWERS, writes::GROUPS];
    let shown: BTreeSet<Rule> = tables.into_iter().chain(more).flatten().map(|row| row.rule).collect();
    let missing: Vec<_> = ALL.into_iter().filter(|rule| !shown.contains(rule)).collect();
    assert!(missing.is_empty(), "no schedule breaks without {missing:?}");
    println!("{} switches", shown.len());
}

/// Holds with all rules.
fn holds(name: &str, operators: usize, nodes: usize, schedule: Schedule) {
    let mut world = running(operators, nodes, Without::default());
    if let Err(why) = schedule(&mut world).and_then(|()| world.settle()) {
        panic!("{name}: {why}");
    }
}

impl World {
    /// Goes on as it should until it is so, at most two minutes.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        self.run_until(self.now + 120_000, &is_so)?;
        if is_so(self) { Ok(()) } else { panic!("the schedule does not come to this: {what}") }
    }

    fn create(&mut self, name: &str) -> Result<(), String> {
        self.step(&create(name, &json!({}))).map(drop)
    }

    fn set(&mut self, name: &str, field: &'static str, value: serde_json::Value) -> Result<(), String> {
        self.step(&Step::User(User::Set { name: name.into(), field, value })).map(drop)
    }

    /// Whether a guest of the job runs on the node.
    fn runs(&self, job: &str, node: &str) -> bool {
        self.guests().any(|guest| *guest.job == *job && *guest.node == *node)
    }

    fn is_running(&self, job: &str) -> bool {
        self.guests().any(|guest| *guest.job == *job)
    }

    /// The node on which the job's guest runs, and the number of its agent.
    fn place_of(&self, job: &str) -> (Arc<str>, usize) {
        let guest = self.guests().find(|guest| *guest.job == *job).unwrap_or_else(|| panic!("{job} runs nowhere"));
        let agent = self.agents.iter().position(|agent| agent.pod == guest.pod).expect("a guest has an agent");
        (guest.node.clone(), agent)
    }

    /// A request on its way, not carried out yet.
    fn wire(&self, from: Process, is: impl Fn(&Request) -> bool) -> Option<u32> {
        let mut wires = self.wires.iter().filter(|(_, wire)| wire.from == from && wire.task.is_some() && wire.answer.is_none());
        wires.find(|(_, wire)| is(&wire.request)).map(|(number, _)| *number)
    }

    /// Goes on as it should until such a request is on its way, and takes it out of the way: who asked hears nothing, and it arrives
    /// whenever the schedule has it arrive. Its number.
    fn delay(&mut self, from: Process, is: impl Fn(&Request) -> bool + Copy) -> Result<u32, String> {
        self.until("the request is sent", |world| world.wire(from, is).is_some())?;
        let wire = self.wire(from, is).expect("it was just there");
        self.step(&Step::Silence(wire))?;
        Ok(wire)
    }

    fn arrives(&mut self, wire: u32) -> Result<(), String> {
        self.step(&Step::Serve(wire)).map(drop)
    }

    /// Steps of one process only, and of none of its timers, until there are no more.
    fn alone(&mut self, process: Process) -> Result<(), String> {
        let is_its = |world: &Self, step: &Step| match step {
            Step::Serve(wire) | Step::Answer(wire) => world.wires.get(wire).is_some_and(|wire| wire.from == process),
            Step::Watch(one, _) => *one == process,
            Step::Decide(number) => process == Process::Operator(*number),
            _ => false,
        };
        while let Some(step) = self.possible().into_iter().find(|step| is_its(self, step)) {
            self.step(&step)?;
        }
        Ok(())
    }

    /// The job has ended, whatever may come.
    fn ended(&self, job: &str) -> Result<(), String> {
        let status = self.job(job).map_or(&serde_json::Value::Null, |job| &job["status"]);
        if status["completionTime"].is_string() { Ok(()) } else { Err(format!("I4: {job} has not ended: {status}")) }
    }

    /// How many assignments a node has.
    fn assignments(&self, node: &str) -> usize {
        let node = self.api.get(&super::api::Key::node(node));
        node.and_then(|node| node["spec"]["assignments"].as_object()).map_or(0, serde_json::Map::len)
    }
}

fn adds(request: &Request) -> bool {
    is_spec_patch(request, "add", "/spec/assignments/")
}

fn is_spec_patch(request: &Request, op: &str, path: &str) -> bool {
    let Request::Patch { key, operations, .. } = request else { return false };
    key.kind == Kind::Node
        && operations.iter().any(|operation| operation["op"] == op && operation["path"].as_str().is_some_and(|one| one.starts_with(path)))
}

fn writes_status(request: &Request) -> bool {
    matches!(request, Request::Patch { key, .. } if key.kind == Kind::Job)
}

fn reports(request: &Request) -> bool {
    is_spec_patch(request, "add", "/status/reports/")
}
