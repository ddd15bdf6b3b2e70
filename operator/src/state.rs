//! Everything that was seen and is not done: jobs as compact records, nodes with their entries, the queue, what is being written.
//!
//! Fed with events, asked by `decide`. Knows no client and no clock. Nothing in it would be missed after a restart: it is made again from
//! what the API server holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crds::reason::Reason;
use jiff::Timestamp;

use crate::action::NodeWrite;
use crate::observe::{Entry, Job, LeaseSeen, NodeObject, Reported};

use self::denied::Denied;
use self::phases::Phases;

mod denied;
mod event;
mod index;
mod lease;
mod phases;
mod secrets;

pub use event::{Event, NodeOutcome, StatusOutcome};
pub use phases::Phase;
pub(crate) use secrets::{Answered, Ready};

/// The time on both clocks: the one that the API server's times are of, and the one that leases are measured by.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: Timestamp,
    pub mono: Duration,
}

/// What a leader decides by.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Of this leader (P8).
    pub epoch: i64,
    /// L: how long a Lease must be unchanged before its node is given up (P10).
    pub lost_after: Duration,
    /// How long mass reassignment is held back (P16).
    pub brake_for: Duration,
    /// How long before a session ends it is renewed.
    pub renew_before: Duration,
    /// How long a Node must be gone before what is left of it is taken away (P14).
    pub gone_after: Duration,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) object: Option<NodeObject>,
    /// Of whatever object of this name was seen last.
    pub(crate) newest: u64,
    /// Entries of objects that vanished or were replaced: they count as running (P14).
    pub(crate) ghosts: BTreeMap<Arc<str>, Ghost>,
    pub(crate) lease: Option<LeaseSeen>,
    /// When that version of the Lease was first read.
    pub(crate) lease_since: Duration,
    /// A live look at the Lease is under way.
    pub(crate) asked: bool,
    /// Versions of object and Lease that were known when the newest question of each kind was asked: an answer is never older (P15).
    pub(crate) floor: u64,
    pub(crate) adopt_floor: u64,
    pub(crate) lease_floor: u64,
    /// The object's version when a list of the nodes was begun; 0 while there is none.
    pub(crate) list_floor: u64,
    /// The Lease's version at which the node was given up.
    pub(crate) given_up: Option<u64>,
    pub(crate) adopting: bool,
    /// UID of an object whose adoption was asked for and has not been answered well: a watch may show our epoch on it, and that says
    /// nothing of our Lease (P8).
    pub(crate) unproven: Option<Arc<str>>,
    /// When the last adoption failed.
    pub(crate) adopt_after: Duration,
    /// The API server takes none of its writes.
    pub(crate) denied: Option<Denied>,
    /// What is being written, and what goes into the next write.
    pub(crate) writing: Option<NodeWrite>,
    pub(crate) pending: NodeWrite,
    /// Since when removals wait for company.
    pub(crate) alone_since: Option<Duration>,
    /// Since when there is no Node of this name, as far as is known.
    pub(crate) gone_since: Option<Duration>,
    /// What is left of it is being taken away; or not before then, since it did not hold.
    pub(crate) forgetting: bool,
    pub(crate) forget_after: Duration,
}

/// Where an entry lies: node and id.
pub(crate) type Place = (Arc<str>, Arc<str>);

/// An entry of an object that is gone.
#[derive(Clone, Debug)]
pub(crate) struct Ghost {
    pub(crate) entry: Entry,
    /// The object's UID.
    pub(crate) of: Arc<str>,
}

/// A job that no node can take.
#[derive(Clone, Debug)]
pub(crate) struct Stuck {
    pub(crate) since: Timestamp,
    pub(crate) created: Timestamp,
}

/// The whole of it. Ordered throughout: what was seen in one order is decided in one order, so that a schedule can be replayed.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) jobs: BTreeMap<Arc<str>, Job>,
    pub(crate) nodes: BTreeMap<Arc<str>, Node>,
    /// By job UID: where its entries lie.
    pub(crate) work: BTreeMap<Arc<str>, BTreeSet<Place>>,
    /// Names of the cluster's Nodes; `None` while they are not known.
    pub(crate) kube_nodes: Option<BTreeSet<Arc<str>>>,
    /// Jobs to look at.
    pub(crate) dirty: BTreeSet<Arc<str>>,
    /// Jobs that wait for a node, oldest first.
    pub(crate) queue: BTreeSet<(Timestamp, Arc<str>)>,
    pub(crate) stuck: BTreeMap<Arc<str>, Stuck>,
    /// Jobs to look at when their time comes.
    pub(crate) timers: BTreeSet<(Timestamp, Arc<str>)>,
    pub(crate) timer_of: BTreeMap<Arc<str>, Timestamp>,
    /// Jobs whose status is being written.
    pub(crate) writing: BTreeSet<Arc<str>>,
    /// Jobs whose entry is in a node's pending or running write.
    pub(crate) placing: BTreeSet<Arc<str>>,
    /// Jobs whose last status was refused as it was: the next one is as small as can be (P13).
    pub(crate) shrink: BTreeSet<Arc<str>>,
    /// Jobs of which there will be no assignment, and why: the API server takes none (P13), or what they name of Secrets is not to be had.
    pub(crate) refused: BTreeMap<Arc<str>, (Reason, String)>,
    /// Jobs whose result cannot be made a ConfigMap: of which fence, and why.
    pub(crate) unpublished: BTreeMap<Arc<str>, (Arc<str>, String)>,
    /// What came of reading the Secrets of jobs that wait for a node.
    pub(crate) secrets: BTreeMap<Arc<str>, Answered>,
    /// Jobs whose Secrets are being read.
    pub(crate) reading: BTreeSet<Arc<str>>,
    /// By node and key of what is sealed there: before then it is not renewed once more.
    pub(crate) renewals: BTreeMap<Place, Duration>,
    /// The second in which jobs were told that no node takes them, and how many.
    pub(crate) told: (u64, usize),
    /// Nodes that refused a job, until when.
    pub(crate) avoid: BTreeMap<Arc<str>, Vec<(Arc<str>, Timestamp)>>,
    /// UIDs of jobs that a live look said are gone; and those being looked at.
    pub(crate) gone: BTreeSet<Arc<str>>,
    pub(crate) asked: BTreeSet<Arc<str>>,
    /// By UID: the version of the job that was known when the newest question about it was asked.
    pub(crate) floors: BTreeMap<Arc<str>, u64>,
    /// By UID: the version of the job that was known when a list was begun, until it is complete.
    pub(crate) list_floors: BTreeMap<Arc<str>, u64>,
    /// All jobs are in view.
    pub(crate) listed: bool,
    /// Nodes with a live Lease and without an object, from before we led: they may run anything (P14).
    pub(crate) blockers: BTreeSet<Arc<str>>,
    /// Since when more than half of the nodes are gone.
    pub(crate) brake_since: Option<Duration>,
    /// How long all that takes.
    pub(crate) phases: Phases,
    /// What was seen cannot be (P15).
    pub(crate) impossible: Option<String>,
}

// === impl State ===

impl State {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            jobs: BTreeMap::new(),
            nodes: BTreeMap::new(),
            work: BTreeMap::new(),
            kube_nodes: None,
            dirty: BTreeSet::new(),
            queue: BTreeSet::new(),
            stuck: BTreeMap::new(),
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            writing: BTreeSet::new(),
            placing: BTreeSet::new(),
            shrink: BTreeSet::new(),
            refused: BTreeMap::new(),
            unpublished: BTreeMap::new(),
            secrets: BTreeMap::new(),
            reading: BTreeSet::new(),
            renewals: BTreeMap::new(),
            told: (0, 0),
            avoid: BTreeMap::new(),
            gone: BTreeSet::new(),
            asked: BTreeSet::new(),
            floors: BTreeMap::new(),
            list_floors: BTreeMap::new(),
            listed: false,
            blockers: BTreeSet::new(),
            brake_since: None,
            phases: Phases::default(),
            impossible: None,
        }
    }

    /// The job of that UID, as last seen.
    pub fn job(&self, uid: &str) -> Option<&Job> {
        self.jobs.get(uid)
    }

    /// Jobs in view, waiting for a node, and running somewhere.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.jobs.len(), self.queue.len() + self.stuck.len(), self.work.len())
    }

    /// How long the phases of jobs took that have ended since this was asked last.
    pub fn take_phases(&mut self) -> Vec<(Phase, Duration)> {
        self.phases.take()
    }

    /// Why what this attempt left cannot be made a ConfigMap, if that was found.
    pub(crate) fn why_unpublished(&self, uid: &str, fence: &str) -> Option<&str> {
        self.unpublished.get(uid).filter(|(of, _)| **of == *fence).map(|(_, why)| why.as_str())
    }

    /// Nodes that take work, and all.
    pub fn ready_nodes(&self, now: Now) -> (usize, usize) {
        let names = self.nodes.keys();
        (names.filter(|name| self.closed(name, now).is_none()).count(), self.nodes.len())
    }

    /// Looks at the job when that time has come. The earliest of several counts.
    pub(crate) fn wake(&mut self, uid: &Arc<str>, at: Timestamp) {
        match self.timer_of.get(uid) {
            Some(before) if *before <= at => return,
            Some(before) => {
                self.timers.remove(&(*before, uid.clone()));
            }
            None => {}
        }
        self.timer_of.insert(uid.clone(), at);
        self.timers.insert((at, uid.clone()));
    }

    /// Why the node takes no work; `None` if it does.
    pub(crate) fn closed(&self, name: &str, now: Now) -> Option<String> {
        let node = self.nodes.get(name)?;
        let Some(object) = &node.object else { return Some("it has no WasmNode".to_owned()) };
        if object.unschedulable {
            return Some("spec.unschedulable is true".to_owned());
        }
        if let Some(denied) = node.denied.as_ref().filter(|denied| now.mono < denied.until) {
            return Some(format!("the API server takes no write of it: {}", denied.why));
        }
        if !node.is_taken(self.settings.epoch) {
            return Some("not taken over yet".to_owned());
        }
        let silent = now.mono.saturating_sub(node.lease_since);
        match &node.lease {
            None => Some("its agent has no Lease".to_owned()),
            Some(lease) if lease.holder.is_empty() => Some("no agent runs there".to_owned()),
            Some(_) if silent * 3 >= self.settings.lost_after * 2 => Some(format!("its agent has been silent for {}s", silent.as_secs())),
            Some(lease) if lease.holder != object.agent => Some("its agent is starting".to_owned()),
            Some(_) => object.not_ready.clone().map(|why| format!("not ready: {why}")),
        }
    }
}

impl Node {
    /// An entry with what the agent says of it, and whether nothing of it can run any more.
    pub(crate) fn entry(&self, id: &str) -> Option<(&Entry, Option<&Reported>, bool)> {
        if let Some((object, entry)) = self.object.as_ref().and_then(|object| Some((object, object.assignments.get(id)?))) {
            return Some((entry, object.report(id), self.given_up.is_some()));
        }
        self.ghosts.get(id).map(|ghost| (&ghost.entry, None, self.given_up.is_some() || self.is_exorcised(ghost)))
    }

    /// Whoever made another object has killed what the old one held (P14).
    fn is_exorcised(&self, ghost: &Ghost) -> bool {
        self.object.as_ref().is_some_and(|object| object.uid != ghost.of)
    }

    /// Whether what the entry's run is given was sealed to a key that its agent has no more.
    pub(crate) fn is_sealed_to_another(&self, entry: &Entry) -> bool {
        let Some(object) = &self.object else { return false };
        let sealed = object.sealed.get(entry.sealed_key().as_str());
        sealed.is_some_and(|sealed| object.key.as_ref().is_none_or(|key| key.id != sealed.key_id))
    }

    /// Whether the entry is part of a write that has not come back.
    pub(crate) fn is_writing(&self, id: &str) -> bool {
        let holds = |write: &NodeWrite| write.add.contains_key(id) || write.cancel.contains_key(id) || write.remove.contains(id);
        holds(&self.pending) || self.writing.as_ref().is_some_and(holds)
    }

    /// Whether a write of it may be sent now.
    pub(crate) fn may_write(&self, epoch: i64, now: Now) -> bool {
        self.is_taken(epoch) && self.writing.is_none() && !self.is_denied(now)
    }

    /// Whether this leader may write there.
    pub(crate) fn is_taken(&self, epoch: i64) -> bool {
        self.object.as_ref().is_some_and(|object| object.epoch == epoch && self.unproven.as_ref() != Some(&object.uid))
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.ghosts.is_empty() || self.object.as_ref().is_some_and(|object| !object.assignments.is_empty())
    }
}

#[cfg(test)]
mod tests;
