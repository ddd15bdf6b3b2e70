//! Nodes' objects as they come and go, and where each job's entries lie.

use std::sync::Arc;

use super::{Ghost, Node, Now, State};
use crate::observe::{Entry, NodeObject};

impl State {
    /// Takes in a node's object. A watch may be late, and so may an answer that overtook nothing; one that is older than what was known
    /// when it was asked for cannot be (P15).
    pub(super) fn see_node(&mut self, name: &Arc<str>, object: NodeObject, floor: u64, now: Now) {
        let node = self.nodes.entry(name.clone()).or_default();
        if node.lease_since.is_zero() {
            node.lease_since = now.mono;
        }
        let version = object.resource_version;
        if version < floor {
            self.impossible = Some(format!("node {name} is read at version {version} after {}", node.newest));
        }
        if version < node.newest || (version == node.newest && node.object.is_some()) {
            return;
        }
        node.newest = version;
        let before = match node.object.take() {
            Some(known) if known.uid == object.uid => Some(known),
            Some(replaced) => {
                node.bury(replaced);
                None
            }
            None => None,
        };
        let returned = node.dig_up(&object.uid);
        self.dirty.extend(node.ghosts.values().map(|ghost| ghost.entry.uid.clone()));
        for (id, entry) in returned.into_iter().filter(|(id, _)| !object.assignments.contains_key(id)) {
            self.unindex(&entry.uid, name, &id);
            self.dirty.insert(entry.uid);
        }
        self.blockers.remove(name);
        let opened = before.as_ref().is_none_or(|before| shape(before) != shape(&object));
        self.index(name, before.as_ref(), &object, now);
        if let Some(node) = self.nodes.get_mut(name) {
            node.object = Some(object);
        }
        if opened {
            self.look_at_stuck();
        }
    }

    /// The object is gone. What it held counts as running (P14).
    pub(super) fn lose_object(&mut self, name: &Arc<str>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let Some(object) = node.object.take() else { return };
        node.bury(object);
        let added: Vec<_> = std::mem::take(&mut node.pending).add.into_values().map(|entry| entry.uid).collect();
        for uid in added {
            self.placing.remove(&uid);
            self.dirty.insert(uid);
        }
    }

    /// Takes an entry of a vanished object out of the state.
    pub(crate) fn exorcise(&mut self, name: &Arc<str>, id: &Arc<str>) {
        let Some(Ghost { entry, .. }) = self.nodes.get_mut(name).and_then(|node| node.ghosts.remove(id)) else { return };
        self.unindex(&entry.uid, name, id);
        self.dirty.insert(entry.uid);
    }

    fn index(&mut self, name: &Arc<str>, before: Option<&NodeObject>, after: &NodeObject, now: Now) {
        for (id, entry) in before.into_iter().flat_map(|before| &before.assignments) {
            if !after.assignments.contains_key(id) {
                self.unindex(&entry.uid, name, id);
                self.dirty.insert(entry.uid.clone());
            }
        }
        for (id, entry) in &after.assignments {
            let known = before.and_then(|before| before.assignments.get(id));
            let reported = |object: Option<&NodeObject>| object.and_then(|object| object.report(id)).cloned();
            if known != Some(entry) {
                self.work.entry(entry.uid.clone()).or_default().insert((name.clone(), id.clone()));
            }
            if known != Some(entry) || reported(before) != reported(Some(after)) {
                self.dirty.insert(entry.uid.clone());
                let has_ended = after.report(id).is_some_and(|report| report.ended.is_some());
                if has_ended && self.jobs.get(&entry.uid).is_some_and(|job| !job.is_finished()) {
                    self.phases.reported(&entry.uid, now);
                }
            }
        }
    }

    fn unindex(&mut self, uid: &Arc<str>, name: &Arc<str>, id: &Arc<str>) {
        if let Some(places) = self.work.get_mut(uid) {
            places.remove(&(name.clone(), id.clone()));
            if places.is_empty() {
                self.work.remove(uid);
                self.gone.remove(uid);
            }
        }
    }
}

/// What decides whether a node takes work at all.
fn shape(object: &NodeObject) -> (bool, i64, &str, Option<&str>, u64, usize) {
    (object.unschedulable, object.epoch, &object.agent, object.not_ready.as_deref(), object.memory_bytes, object.slots)
}

impl Node {
    fn bury(&mut self, object: NodeObject) {
        let NodeObject { uid, assignments, .. } = object;
        self.ghosts.extend(assignments.into_iter().map(|(id, entry)| (id, Ghost { entry, of: uid.clone() })));
    }

    /// The object was thought to be gone by whoever was late: what it held is its own again.
    fn dig_up(&mut self, uid: &Arc<str>) -> Vec<(Arc<str>, Entry)> {
        let ids: Vec<_> = self.ghosts.iter().filter(|(_, ghost)| ghost.of == *uid).map(|(id, _)| id.clone()).collect();
        ids.into_iter().filter_map(|id| self.ghosts.remove(&id).map(|ghost| (id, ghost.entry))).collect()
    }
}
