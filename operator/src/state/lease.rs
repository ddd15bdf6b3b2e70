//! Agents' Leases as they change, and which nodes are given up by them (P10).

use std::sync::Arc;
use std::time::Duration;

use super::{Now, State};
use crate::observe::LeaseSeen;

impl State {
    pub(super) fn see_lease(&mut self, name: &Arc<str>, lease: Option<LeaseSeen>, now: Now) {
        let node = self.nodes.entry(name.clone()).or_default();
        let older = |known: &LeaseSeen| lease.as_ref().is_some_and(|lease| lease.resource_version <= known.resource_version);
        if node.lease.as_ref().is_some_and(older) || (lease.is_none() && node.lease.is_none() && node.lease_since > Duration::ZERO) {
            return;
        }
        let returned = node.given_up.take().is_some();
        node.lease = lease;
        node.lease_since = now.mono.max(Duration::from_nanos(1));
        if returned {
            self.dirty_work_of(name);
        }
        self.look_at_stuck();
    }

    pub(super) fn lease_read(&mut self, name: &Arc<str>, lease: Option<LeaseSeen>, now: Now) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.asked = false;
        let version = |lease: &Option<LeaseSeen>| lease.as_ref().map_or(0, |lease| lease.resource_version);
        let (read, known, asked_at) = (version(&lease), version(&node.lease), node.lease_floor);
        if read < asked_at && lease.is_some() {
            self.impossible = Some(format!("the Lease of {name} is read at version {read} after {asked_at}"));
        } else if read == asked_at && read == known {
            // A released Lease, or the very version that had been there for L when it was asked for: nothing of its agent lives (P10). One
            // that a watch brought while the answer was on its way is a renewal, even if the answer is the same.
            node.given_up = Some(read);
            self.blockers.remove(name);
            self.dirty_work_of(name);
        } else {
            self.see_lease(name, lease, now);
        }
    }

    fn dirty_work_of(&mut self, name: &Arc<str>) {
        let Some(node) = self.nodes.get(name) else { return };
        let ghosts = node.ghosts.values().map(|ghost| &ghost.entry);
        let entries = node.object.iter().flat_map(|object| object.assignments.values()).chain(ghosts);
        self.dirty.extend(entries.map(|entry| entry.uid.clone()));
    }
}
