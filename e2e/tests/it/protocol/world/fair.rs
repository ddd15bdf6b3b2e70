//! Things going on as they should: whatever is possible happens, then time passes until something is due.

use std::sync::Arc;

use serde_json::json;

use super::super::api::Key;
use super::super::clock::Millis;
use super::super::ledger::finished;
use super::super::network::{Life, Process};
use super::{Step, User, World};

/// A run that has not come to rest by then never does: the brake, the longest back-off and a free retry after it fit in.
const PATIENCE: Millis = 45 * 60 * 1000;
/// More steps than these without time passing never end.
const AT_ONCE: usize = 50_000;
/// By then somebody leads and has taken over every node, and every agent has its Lease.
const TAKE_OVER: Millis = 60 * 1000;
/// Nothing may change for so long after the end.
const REST: Millis = 10 * 1000;

impl World {
    /// Lets time pass as it should, guests included, until the end of it or until it is so.
    pub(crate) fn run_for(&mut self, millis: Millis) -> Result<(), String> {
        self.run_until(self.now + millis, |_| false)
    }

    /// ... or until it is so.
    pub(crate) fn run_until(&mut self, end: Millis, is_so: impl Fn(&Self) -> bool) -> Result<(), String> {
        let mut at_once = 0;
        loop {
            if is_so(self) {
                return Ok(());
            }
            if let Some(step) = self.next_fair() {
                self.step(&step)?;
                at_once += 1;
                if at_once > AT_ONCE {
                    return Err(format!("I4: no end of steps at one moment, the last {step:?}"));
                }
                continue;
            }
            at_once = 0;
            if self.now >= end {
                return Ok(());
            }
            let next = self.next_due().clamp(self.now + 1, end);
            self.step(&Step::Tick(next - self.now))?;
        }
    }

    /// The first of what is possible; guests end when their time is over.
    pub(crate) fn next_fair(&self) -> Option<Step> {
        self.possible().into_iter().next().or_else(|| self.guest_due())
    }

    fn guest_due(&self) -> Option<Step> {
        let is_up = |pod: &Arc<str>| self.agents.iter().any(|agent| agent.pod == *pod && agent.life == Life::Up);
        let due = self.guests().find(|guest| guest.since + self.guest_runs <= self.now && is_up(&guest.pod))?;
        Some(Step::End(due.fence.clone(), self.scripted(due)))
    }

    /// When something is due.
    pub(crate) fn next_due(&self) -> Millis {
        let wakes = self.processes().map(|process| self.next_wake(process));
        let guests = self.guests().map(|guest| guest.since + self.guest_runs).filter(|due| *due > self.now);
        let deadlines = self.agents.iter().filter(|agent| agent.holding.deadline > 0);
        let deadlines =
            deadlines.map(|agent| agent.clock.when(agent.holding.deadline + super::super::agent::KILL)).filter(|due| *due > self.now);
        wakes.chain(guests).chain(deadlines).min().unwrap_or(Millis::MAX)
    }

    /// All faults stop: everybody runs and reaches everybody, and what was suspended is resumed.
    pub(crate) fn heal(&mut self) -> Result<(), String> {
        self.cut.clear();
        self.held.clear();
        for process in self.processes() {
            let step = if self.is_replaced(process) { Step::Kill(process) } else { Step::Continue(process) };
            self.step(&step)?;
        }
        self.restart_the_dead()?;
        for name in self.job_names() {
            let suspended = self.job(&name).is_some_and(|job| job["spec"]["suspend"] == true);
            if suspended {
                self.step(&Step::User(User::Set { name, field: "suspend", value: json!(false) }))?;
            }
        }
        let nodes: Vec<_> = self.nodes.keys().cloned().collect();
        for node in nodes {
            self.step(&Step::User(User::CreateKubeNode(node.clone())))?;
            self.step(&Step::User(User::Drain(node, false)))?;
        }
        Ok(())
    }

    /// Whether nothing is left to do (I4).
    pub(crate) fn is_finished(&self) -> bool {
        finished(&self.api).is_ok()
    }

    pub(crate) fn job_names(&self) -> Vec<Arc<str>> {
        self.api.objects.keys().filter(|key| key.kind == super::Kind::Job).map(|key| key.name.clone()).collect()
    }

    /// I4: faults stop, then every job ends, entries and reports go away, and nothing changes any more.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.heal()?;
        self.finish()?;
        // What was delayed for ever arrives now, when it is no use any more.
        for stray in self.stray() {
            self.step(&Step::Serve(stray))?;
        }
        self.run_until(self.now + TAKE_OVER, Self::everybody_is_there)?;
        self.run_for(REST)?;
        self.finish()?;
        let writes = self.api.writes;
        self.run_for(REST)?;
        if self.api.writes != writes {
            return Err(format!("{} writes although nothing changes any more, the last {:?}", self.api.writes - writes, self.api.newest));
        }
        Ok(())
    }

    /// Goes on until nothing is left to do.
    fn finish(&mut self) -> Result<(), String> {
        let end = self.now + PATIENCE;
        while self.now < end && !self.is_finished() {
            self.run_until(end, |world| world.is_finished() || world.dead().next().is_some())?;
            self.restart_the_dead()?;
        }
        finished(&self.api)
    }

    /// Every pod writes its node's status, and somebody who has everything in view leads every node.
    fn everybody_is_there(&self) -> bool {
        let node = |name: &Arc<str>| self.api.get(&Key::node(name));
        let writes =
            |agent: &super::Agent| agent.term.is_some() && node(&agent.node).is_some_and(|node| node["status"]["agent"] == *agent.pod);
        let agents = self.agents.iter().enumerate().filter(|(number, _)| !self.is_replaced(Process::Agent(*number)));
        let lease = self.api.get(&Key::lease(crds::names::OPERATOR_LEASE));
        let leads = |operator: &super::Operator| {
            let holds = lease.is_some_and(|lease| operator.holds(lease));
            holds
                && operator.begun
                && self.now - operator.renewed < 4_000
                && self.nodes.keys().all(|name| node(name).is_some_and(|node| node["spec"]["epoch"] == operator.epoch))
        };
        agents.map(|(_, agent)| agent).all(writes) && self.operators.iter().any(leads)
    }

    /// A process that ended is started again, as the kubelet does.
    fn restart_the_dead(&mut self) -> Result<(), String> {
        let dead: Vec<Process> = self.dead().collect();
        for process in dead {
            self.step(&Step::Start(process))?;
        }
        Ok(())
    }

    fn dead(&self) -> impl Iterator<Item = Process> {
        self.processes().filter(|process| self.life(*process) == Life::Down && !self.is_replaced(*process))
    }

    /// A pod in whose place there is another is gone for good.
    fn is_replaced(&self, process: Process) -> bool {
        let Process::Agent(number) = process else { return false };
        self.agents[number + 1..].iter().any(|later| later.node == self.agents[number].node)
    }
}
