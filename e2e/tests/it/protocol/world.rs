//! Everything together: API server, operators, agents, nodes, what is under way between them. One step at a time, in any order.
//!
//! `steps` says what can happen, `fair` lets things go on as they should. Whatever a step did, the ledger looks at it.

mod fair;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use self::steps::{Step, User};
use super::agent::{Agent, Around};
use super::api::{Answer, Api, Backup, Deleter, Key, Kind, Part, Request};
use super::clock::{BEGIN, Clock, Millis};
use super::guest::{Ending, Guest, Node};
use super::ledger::Ledger;
use super::network::{Life, Outbox, Process, Watch, Wire};
use super::operator::Operator;
use super::without::{Rule, Without};

/// The whole of it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) api: Api,
    pub(crate) operators: Vec<Operator>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) nodes: BTreeMap<Arc<str>, Node>,
    pub(crate) wires: BTreeMap<u32, Wire>,
    next_wire: u32,
    pub(crate) without: Without,
    /// Who reaches the API server no more.
    pub(crate) cut: BTreeSet<Process>,
    /// Watches that tell nothing just now.
    pub(crate) held: BTreeSet<(Process, Kind)>,
    /// How the guests of a job end, one after the other; the last again and again. Without a word: they complete.
    pub(crate) scripts: BTreeMap<Arc<str>, Vec<Ending>>,
    /// How long guests run.
    pub(crate) guest_runs: Millis,
    /// What was published, by prefix: whose it is.
    pub(crate) published: BTreeMap<String, Arc<str>>,
    pub(crate) ledger: Ledger,
    backup: Option<(Backup, Ledger)>,
}

/// An API server that is restored is down for so long: more than S and the kill time.
const DOWN: Millis = 25_000;
/// Guests run as long, unless a test says otherwise.
const GUEST_RUNS: Millis = 500;

// === impl World ===

impl World {
    /// Nothing runs yet. Nodes are called n1, n2, …; each has a pod.
    pub(crate) fn new(operators: usize, nodes: usize, without: Without) -> Self {
        let clock = Clock { rate: 1000, ahead: 0 };
        let mut api = Api::new(without);
        let names: Vec<String> = (1..=nodes).map(|number| format!("n{number}")).collect();
        for name in &names {
            api.serve(&Request::Create(Kind::KubeNode, json!({ "metadata": { "name": name }, "spec": {} })));
        }
        let node = |name: &String| (Arc::from(name.as_str()), Node::new(clock.instant(BEGIN)));
        Self {
            now: BEGIN,
            api,
            operators: (0..operators).map(|number| Operator::new(number, clock, without)).collect(),
            agents: names.iter().map(|name| Agent::new(name, &format!("pod-{name}"), clock, without)).collect(),
            nodes: names.iter().map(node).collect(),
            wires: BTreeMap::new(),
            next_wire: 0,
            without,
            cut: BTreeSet::new(),
            held: BTreeSet::new(),
            scripts: BTreeMap::new(),
            guest_runs: GUEST_RUNS,
            published: BTreeMap::new(),
            ledger: Ledger::default(),
            backup: None,
        }
    }

    /// The processes, all of them.
    pub(crate) fn processes(&self) -> impl Iterator<Item = Process> + use<> {
        (0..self.operators.len()).map(Process::Operator).chain((0..self.agents.len()).map(Process::Agent))
    }

    pub(crate) fn life(&self, process: Process) -> Life {
        match process {
            Process::Operator(number) => self.operators[number].life,
            Process::Agent(number) => self.agents[number].life,
        }
    }

    fn set_life(&mut self, process: Process, life: Life) {
        match process {
            Process::Operator(number) => self.operators[number].life = life,
            Process::Agent(number) => self.agents[number].life = life,
        }
    }

    /// Whether it can hear and be heard.
    fn is_reached(&self, process: Process) -> bool {
        self.life(process) == Life::Up && !self.cut.contains(&process)
    }

    pub(crate) fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.nodes.values().flat_map(|node| &node.guests)
    }

    /// A job with these fields of the spec besides its module.
    pub(crate) fn job_spec(fields: &Value) -> Value {
        let mut spec = json!({ "module": { "http": { "url": "https://example.com/a.wasm" } }, "retryBackoff": { "initialSeconds": 1 } });
        for (field, value) in fields.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        spec
    }

    pub(crate) fn job(&self, name: &str) -> Option<&Arc<Value>> {
        self.api.get(&Key::job(name))
    }

    /// Works with an agent and its node.
    fn with_agent(&mut self, number: usize, step: impl FnOnce(&mut Agent, &mut Around<'_>)) {
        let mut out = Outbox::default();
        let agent = &mut self.agents[number];
        let node = self.nodes.get_mut(&agent.node).expect("a pod is on a node");
        step(agent, &mut Around { now: self.now, node, out: &mut out });
        self.send(Process::Agent(number), out);
    }

    fn with_operator(&mut self, number: usize, step: impl FnOnce(&mut Operator, &mut Outbox)) {
        let mut out = Outbox::default();
        step(&mut self.operators[number], &mut out);
        self.send(Process::Operator(number), out);
    }

    fn send(&mut self, from: Process, out: Outbox) {
        for (task, request) in out.asks {
            self.next_wire += 1;
            self.wires.insert(self.next_wire, Wire { from, task: Some(task), request, answer: None });
        }
        if out.over.is_some() {
            self.kill(from);
        }
    }

    fn kill(&mut self, process: Process) {
        match process {
            Process::Operator(number) => self.operators[number].kill(),
            Process::Agent(number) => {
                let agent = &mut self.agents[number];
                agent.kill();
                if let Some(node) = self.nodes.get_mut(&agent.node) {
                    node.kill_guests(&agent.pod);
                }
            }
        }
        for wire in self.wires.values_mut().filter(|wire| wire.from == process) {
            wire.task = None;
        }
        self.wires.retain(|_, wire| wire.task.is_some() || wire.answer.is_none());
    }

    fn start(&mut self, process: Process) {
        match process {
            Process::Operator(number) => self.with_operator(number, |operator, out| operator.start(number, out)),
            Process::Agent(number) => self.with_agent(number, |agent, around| agent.start(around.out)),
        }
    }

    /// Guests whose deadline has passed are dead (P10, P11), at the last moment at which they may be.
    fn expire(&mut self) {
        for agent in &self.agents {
            let supervised = agent.life == Life::Up || self.without.keeps(Rule::P11Watchdog);
            let dead_at = agent.holding.deadline + super::agent::KILL;
            if supervised
                && agent.clock.ticks(self.now) >= dead_at
                && let Some(node) = self.nodes.get_mut(&agent.node)
            {
                node.kill_guests(&agent.pod);
            }
        }
    }

    /// A guest ends by itself; its agent hears of it.
    fn end_guest(&mut self, fence: &str, ending: Ending) {
        let Some(guest) = self.guests().find(|guest| *guest.fence == *fence).cloned() else { return };
        let Some(number) = self.agents.iter().position(|agent| agent.pod == guest.pod) else { return };
        if ending == Ending::KillsAgent {
            return self.kill(Process::Agent(number));
        }
        let prefix = self.prefix(&guest);
        if ending == Ending::Completes {
            self.published.insert(prefix.clone(), guest.fence.clone());
        }
        self.ledger.guest_ended(&guest, ending);
        self.with_agent(number, |agent, around| {
            around.node.kill_guest(&guest.fence);
            let ended = guest.end(ending, &prefix, agent.clock.wall(around.now));
            agent.guest_ended(ended, around);
        });
    }

    /// Where a guest publishes.
    pub(crate) fn prefix(&self, guest: &Guest) -> String {
        let prefix = guest.prefix();
        if self.without.keeps(Rule::P17Prefix) {
            return prefix;
        }
        prefix.split_inclusive('/').take(2).collect()
    }

    /// How the next guest of a job is to end.
    pub(crate) fn scripted(&self, guest: &Guest) -> Ending {
        let Some(script) = self.scripts.get(&guest.job) else { return Ending::Completes };
        let before = self.ledger.starts_of(&guest.uid).saturating_sub(1);
        script.get(before).or(script.last()).copied().unwrap_or(Ending::Completes)
    }

    fn user(&mut self, user: &User) {
        let request = match user {
            User::Create { name, spec } => Request::Create(
                Kind::Job,
                json!({
                    "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob",
                    "metadata": { "name": &**name, "namespace": "team-a", "creationTimestamp": Clock { rate: 1000, ahead: 0 }.wall(self.now) },
                    "spec": spec,
                }),
            ),
            User::Delete(name) => Request::Delete { key: Key::job(name), uid: None, resource_version: None, by: Deleter::User },
            User::Set { name, field, value } => {
                let operations = vec![json!({ "op": "add", "path": format!("/spec/{field}"), "value": value })];
                Request::Patch { key: Key::job(name), part: Part::Spec, operations }
            }
            User::DeleteNode(name, by) => Request::Delete { key: Key::node(name), uid: None, resource_version: None, by: *by },
            User::DeleteKubeNode(name) => {
                Request::Delete { key: Key::kube_node(name), uid: None, resource_version: None, by: Deleter::User }
            }
            User::CreateKubeNode(name) => Request::Create(Kind::KubeNode, json!({ "metadata": { "name": &**name }, "spec": {} })),
            User::Drain(name, value) => {
                let operations = vec![json!({ "op": "add", "path": "/spec/unschedulable", "value": value })];
                Request::Patch { key: Key::node(name), part: Part::Spec, operations }
            }
        };
        self.api.serve(&request);
    }

    /// Everything is as it was at the backup. The API server is down while it is restored, for longer than guests outlive it: a faster
    /// restore is none that the protocol promises anything for. What watches and lists begins anew.
    fn restore(&mut self) {
        let Some((backup, ledger)) = self.backup.clone() else { return };
        self.now += DOWN;
        self.expire();
        // A leader that cannot renew its Lease for so long ends; one that is stopped does not know.
        for number in 0..self.operators.len() {
            if self.operators[number].life == Life::Up && self.operators[number].leads() {
                self.kill(Process::Operator(number));
            }
        }
        self.api.restore(&backup);
        self.ledger.restore(ledger, self.api.changes.len());
        for operator in &mut self.operators {
            operator.watches.values_mut().for_each(|watch| *watch = Watch::Broken);
        }
        self.agents.iter_mut().for_each(|agent| agent.watch = Watch::Broken);
        for wire in self.wires.values_mut().filter(|wire| matches!(wire.request, Request::List(_))) {
            wire.answer = Some(Answer::Silence);
        }
    }
}
