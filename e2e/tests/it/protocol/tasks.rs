//! What a process waits for: answers to its requests, and times at which it goes on. Knows neither the network nor the clock.

use std::collections::BTreeMap;

use super::api::Request;
use super::clock::Millis;
use super::network::Outbox;

/// Tasks by number. Numbers never come twice, also not in a process that is started again: answers to its predecessor find nobody.
#[derive(Clone, Debug)]
pub(crate) struct Tasks<T> {
    asking: BTreeMap<u32, T>,
    asleep: BTreeMap<u32, (Millis, T)>,
    last: u32,
}

impl<T> Tasks<T> {
    pub(crate) fn ask(&mut self, task: T, request: Request, out: &mut Outbox) {
        self.last += 1;
        self.asking.insert(self.last, task);
        out.asks.push((self.last, request));
    }

    /// Goes on with a task at that time.
    pub(crate) fn sleep(&mut self, task: T, until: Millis) {
        self.last += 1;
        self.asleep.insert(self.last, (until, task));
    }

    /// An answer has come.
    pub(crate) fn answered(&mut self, task: u32) -> Option<T> {
        self.asking.remove(&task)
    }

    pub(crate) fn next_wake(&self) -> Millis {
        self.asleep.values().map(|(until, _)| *until).min().unwrap_or(Millis::MAX)
    }

    /// Whose time has come. What one of them does may end the others.
    pub(crate) fn due(&self, now: Millis) -> Vec<u32> {
        self.asleep.iter().filter(|(_, (until, _))| *until <= now).map(|(task, _)| *task).collect()
    }

    pub(crate) fn woken(&mut self, task: u32) -> Option<T> {
        self.asleep.remove(&task).map(|(_, task)| task)
    }

    pub(crate) fn clear(&mut self) {
        self.asking.clear();
        self.asleep.clear();
    }

    /// None yet, for a new process in the place of this one.
    pub(crate) fn renewed(&self) -> Self {
        Self { last: self.last, ..Self::default() }
    }
}

impl<T> Default for Tasks<T> {
    fn default() -> Self {
        Self { asking: BTreeMap::new(), asleep: BTreeMap::new(), last: 0 }
    }
}
