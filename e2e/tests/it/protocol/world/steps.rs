//! What can happen, one thing at a time. A step that is not possible just now is none.

use std::sync::Arc;

use serde_json::Value;

use super::super::agent::Agent;
use super::super::api::{Answer, Deleter, Kind, Request};
use super::super::clock::Millis;
use super::super::guest::Ending;
use super::super::network::{Life, Process, Watch};
use super::World;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// The API server carries out a request.
    Serve(u32),
    /// Its answer reaches who asked.
    Answer(u32),
    /// Who asked gives up waiting. The request goes on.
    Silence(u32),
    /// A request or answer that nobody waits for is lost.
    Lose(u32),
    /// A request arrives once more than it was sent.
    Repeat(u32),
    /// The next event of a watch; where there is no watch, one begins.
    Watch(Process, Kind),
    /// A watch breaks off.
    Break(Process, Kind),
    /// A watch tells nothing until it is let go.
    Hold(Process, Kind),
    LetGo(Process, Kind),
    /// Timers that are due.
    Wake(Process),
    Decide(usize),
    /// A guest ends by itself.
    End(Arc<str>, Ending),
    Tick(Millis),
    Kill(Process),
    Start(Process),
    /// SIGSTOP and SIGCONT.
    Stop(Process),
    Continue(Process),
    /// SIGTERM.
    Terminate(usize),
    Cut(Process),
    Heal(Process),
    /// A node's disk is lost, with its agent.
    LoseJournal(usize),
    /// Another pod on an agent's node.
    SecondPod(usize),
    User(User),
    BackUp,
    Restore,
}

/// What people do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum User {
    Create {
        name: Arc<str>,
        spec: Value,
    },
    Delete(Arc<str>),
    Set {
        name: Arc<str>,
        field: &'static str,
        value: Value,
    },
    DeleteNode(Arc<str>, Deleter),
    /// As the cloud's controller does when a machine is gone.
    DeleteKubeNode(Arc<str>),
    CreateKubeNode(Arc<str>),
    Drain(Arc<str>, bool),
}

impl World {
    /// Does one step and has the ledger look at it. Whether it was possible.
    ///
    /// # Errors
    /// An invariant does not hold any more.
    pub(crate) fn step(&mut self, step: &Step) -> Result<bool, String> {
        let possible = self.perform(step)?;
        if possible {
            let Self { ledger, api, nodes, published, .. } = self;
            ledger.look(api, nodes, published)?;
        }
        Ok(possible)
    }

    fn perform(&mut self, step: &Step) -> Result<bool, String> {
        if !self.knows(step) {
            return Ok(false);
        }
        match step {
            Step::Serve(wire) => return Ok(self.serve(*wire)),
            Step::Answer(wire) => return Ok(self.answer(*wire)),
            Step::Silence(wire) => return Ok(self.silence(*wire)),
            Step::Lose(wire) => {
                return Ok(self.wires.get(wire).is_some_and(|wire| wire.task.is_none()) && self.wires.remove(wire).is_some());
            }
            Step::Repeat(wire) => match self.wires.get(wire) {
                Some(wire) => drop(self.api.serve(&wire.request)),
                None => return Ok(false),
            },
            Step::Hold(process, kind) => return Ok(self.held.insert((*process, *kind))),
            Step::LetGo(process, kind) => return Ok(self.held.remove(&(*process, *kind))),
            Step::Watch(process, kind) => return Ok(self.watch(*process, *kind)),
            Step::Break(process, kind) => return Ok(self.break_watch(*process, *kind)),
            Step::Wake(process) => return Ok(self.wake(*process)),
            Step::Decide(number) => return self.decide(*number),
            Step::End(fence, ending) => {
                let agent = self.guests().find(|guest| guest.fence == *fence).map(|guest| guest.pod.clone());
                let Some(agent) = self.agents.iter().find(|one| Some(&one.pod) == agent.as_ref()) else { return Ok(false) };
                if agent.life != Life::Up {
                    return Ok(false);
                }
                self.end_guest(fence, *ending);
            }
            Step::Tick(millis) => {
                self.now += millis;
                self.expire();
            }
            other => return Ok(self.disturb(other)),
        }
        Ok(true)
    }

    /// Whether the process of the step is there: where a schedule is shortened, a second pod may not be.
    fn knows(&self, step: &Step) -> bool {
        let process = match step {
            Step::Watch(process, _)
            | Step::Break(process, _)
            | Step::Hold(process, _)
            | Step::LetGo(process, _)
            | Step::Wake(process)
            | Step::Kill(process)
            | Step::Start(process)
            | Step::Stop(process)
            | Step::Continue(process)
            | Step::Cut(process)
            | Step::Heal(process) => *process,
            Step::Terminate(number) | Step::LoseJournal(number) | Step::SecondPod(number) => Process::Agent(*number),
            _ => return true,
        };
        self.processes().any(|one| one == process)
    }

    /// Faults, and what people do.
    fn disturb(&mut self, step: &Step) -> bool {
        let is = |world: &Self, process: &Process, life| world.life(*process) == life;
        match step {
            Step::Kill(process) if !is(self, process, Life::Down) => self.kill(*process),
            Step::Start(process) if is(self, process, Life::Down) => self.start(*process),
            Step::Stop(process) if is(self, process, Life::Up) => self.set_life(*process, Life::Stopped),
            Step::Continue(process) if is(self, process, Life::Stopped) => self.set_life(*process, Life::Up),
            Step::Terminate(number) if self.agents[*number].life == Life::Up => {
                self.with_agent(*number, Agent::begin_to_drain);
            }
            Step::Cut(process) => return self.cut.insert(*process),
            Step::Heal(process) => return self.cut.remove(process),
            Step::LoseJournal(number) => {
                self.kill(Process::Agent(*number));
                let node = self.agents[*number].node.clone();
                if let Some(node) = self.nodes.get_mut(&node) {
                    node.lose_journal();
                }
            }
            Step::SecondPod(number) => {
                let first = &self.agents[*number];
                let pod = format!("{}-{}", first.pod, self.agents.len());
                let second = Agent::new(&first.node, &pod, first.clock, self.without);
                self.agents.push(second);
                self.start(Process::Agent(self.agents.len() - 1));
            }
            Step::User(user) => self.user(user),
            Step::BackUp => self.backup = Some((self.api.back_up(), self.ledger.clone())),
            Step::Restore if self.backup.is_some() => self.restore(),
            _ => return false,
        }
        true
    }

    fn serve(&mut self, number: u32) -> bool {
        let Some(wire) = self.wires.get_mut(&number).filter(|wire| wire.answer.is_none()) else { return false };
        if self.cut.contains(&wire.from) && wire.task.is_some() {
            return false;
        }
        wire.answer = Some(self.api.serve(&wire.request));
        if wire.task.is_none() {
            self.wires.remove(&number);
        }
        true
    }

    fn answer(&mut self, number: u32) -> bool {
        let Some(wire) = self.wires.get(&number).filter(|wire| wire.answer.is_some()) else { return false };
        if !self.is_reached(wire.from) {
            return false;
        }
        let Some(wire) = self.wires.remove(&number) else { return false };
        if let (Some(task), Some(answer)) = (wire.task, wire.answer) {
            self.tell(wire.from, task, answer);
        }
        true
    }

    fn silence(&mut self, number: u32) -> bool {
        let Some(wire) = self.wires.get_mut(&number) else { return false };
        let from = wire.from;
        if self.life(from) != Life::Up {
            return false;
        }
        let Some(wire) = self.wires.get_mut(&number) else { return false };
        let Some(task) = wire.task.take() else { return false };
        if wire.answer.is_some() || matches!(wire.request, Request::Get(_) | Request::List(_)) {
            self.wires.remove(&number);
        }
        self.tell(from, task, Answer::Silence);
        true
    }

    fn tell(&mut self, to: Process, task: u32, answer: Answer) {
        let now = self.now;
        match to {
            Process::Operator(number) => self.with_operator(number, |operator, out| operator.answered(task, answer, now, out)),
            Process::Agent(number) => self.with_agent(number, |agent, around| agent.answered(task, answer, around)),
        }
    }

    /// What a process watches, and how far it has come.
    fn watch_of(&self, process: Process, kind: Kind) -> Option<Watch> {
        match process {
            Process::Operator(number) => self.operators[number].watches.get(&kind).copied(),
            Process::Agent(number) => Some(self.agents[number].watch).filter(|_| kind == Kind::Node && self.agents[number].term.is_some()),
        }
    }

    /// The next event of a watch.
    fn next_change(&self, process: Process, kind: Kind, seen: u64) -> Option<Arc<super::super::api::Change>> {
        let begin = self.api.changes.partition_point(|change| change.revision <= seen);
        let own = match process {
            Process::Operator(_) => None,
            Process::Agent(number) => Some(&self.agents[number].node),
        };
        let is_for = |change: &Arc<super::super::api::Change>| change.key.kind == kind && own.is_none_or(|own| *own == change.key.name);
        self.api.changes[begin..].iter().find(|change| is_for(change)).cloned()
    }

    fn watch(&mut self, process: Process, kind: Kind) -> bool {
        if !self.is_reached(process) || self.held.contains(&(process, kind)) {
            return false;
        }
        let now = self.now;
        match (self.watch_of(process, kind), process) {
            (Some(Watch::Broken), Process::Operator(number)) => {
                self.with_operator(number, |operator, out| operator.begin_watch(kind, now, out));
            }
            (Some(Watch::Broken), Process::Agent(number)) => self.with_agent(number, |agent, around| agent.begin_watch(around.out)),
            (Some(Watch::At(seen)), _) => {
                let Some(change) = self.next_change(process, kind, seen) else { return false };
                match process {
                    Process::Operator(number) => self.with_operator(number, |operator, _| operator.see(&change, now)),
                    Process::Agent(number) => self.with_agent(number, |agent, around| agent.see(&change, around)),
                }
            }
            (Some(Watch::Listing) | None, _) => return false,
        }
        true
    }

    fn break_watch(&mut self, process: Process, kind: Kind) -> bool {
        let watch = match process {
            Process::Operator(number) => self.operators[number].watches.get_mut(&kind),
            Process::Agent(number) => Some(&mut self.agents[number].watch),
        };
        let Some(watch) = watch.filter(|watch| matches!(watch, Watch::At(_))) else { return false };
        *watch = Watch::Broken;
        true
    }

    /// The true time at which a process has something to do although nothing happens.
    pub(super) fn next_wake(&self, process: Process) -> Millis {
        match process {
            _ if self.life(process) != Life::Up => Millis::MAX,
            Process::Operator(number) => self.operators[number].next_wake(),
            Process::Agent(number) => self.agents[number].next_wake(),
        }
    }

    fn wake(&mut self, process: Process) -> bool {
        if self.next_wake(process) > self.now {
            return false;
        }
        let now = self.now;
        match process {
            Process::Operator(number) => self.with_operator(number, |operator, out| operator.wake(now, out)),
            Process::Agent(number) => self.with_agent(number, Agent::wake),
        }
        true
    }

    fn decide(&mut self, number: usize) -> Result<bool, String> {
        let operator = &self.operators[number];
        if operator.life != Life::Up || !operator.unsettled {
            return Ok(false);
        }
        let (now, mut decided) = (self.now, Ok(()));
        self.with_operator(number, |operator, out| decided = operator.decide(now, out));
        decided.map(|()| true)
    }

    /// What can happen without a fault and without time passing.
    pub(crate) fn possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, wire) in &self.wires {
            match wire.answer {
                None if wire.task.is_some() && !self.cut.contains(&wire.from) => steps.push(Step::Serve(*number)),
                Some(_) if self.is_reached(wire.from) => steps.push(Step::Answer(*number)),
                _ => {}
            }
        }
        for process in self.processes() {
            if self.next_wake(process) <= self.now {
                steps.push(Step::Wake(process));
            }
            if self.is_reached(process) {
                steps.extend(Kind::ALL.into_iter().filter(|kind| self.can_watch(process, *kind)).map(|kind| Step::Watch(process, kind)));
            }
            if let Process::Operator(number) = process
                && self.life(process) == Life::Up
                && self.operators[number].unsettled
            {
                steps.push(Step::Decide(number));
            }
        }
        steps
    }

    fn can_watch(&self, process: Process, kind: Kind) -> bool {
        if self.held.contains(&(process, kind)) {
            return false;
        }
        match self.watch_of(process, kind) {
            Some(Watch::Broken) => true,
            Some(Watch::At(seen)) => self.next_change(process, kind, seen).is_some(),
            Some(Watch::Listing) | None => false,
        }
    }

    /// Requests that nobody waits for and that may still arrive.
    pub(crate) fn stray(&self) -> Vec<u32> {
        self.wires.iter().filter(|(_, wire)| wire.task.is_none() && wire.answer.is_none()).map(|(number, _)| *number).collect()
    }
}
