//! What happened, and what it changes in the state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::reason::Reason;

use super::{Node, Now, State};
use crate::action::SecretsRead;
use crate::observe::{Job, LeaseSeen, NodeObject};
use crate::secrets::Outcome;

/// How long a node that could not be forgotten is left alone.
const FORGET_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// How long a job whose status the API server refuses in any size is left alone.
const REFUSED_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// How long a job is left alone of which the API server takes no status from us.
const DENIED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How long a node that could not be adopted is left alone.
const ADOPT_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// From a watch.
    Job(Box<Job>),
    JobGone {
        uid: Arc<str>,
    },
    /// A list of a namespace's jobs (`None`: of all of them) is going to be asked for: what it shows is no older than what is known (P15).
    JobsListing {
        namespace: Option<Arc<str>>,
    },
    /// The list of a namespace (`None`: of all of them) is complete: these are all.
    JobsListed {
        namespace: Option<Arc<str>>,
        uids: BTreeSet<Arc<str>>,
    },
    Node {
        name: Arc<str>,
        object: Box<NodeObject>,
    },
    NodeGone {
        name: Arc<str>,
    },
    /// As [`Event::JobsListing`].
    NodesListing,
    NodesListed {
        names: BTreeSet<Arc<str>>,
    },
    Lease {
        node: Arc<str>,
        lease: LeaseSeen,
    },
    LeaseGone {
        node: Arc<str>,
    },
    LeasesListed {
        nodes: BTreeSet<Arc<str>>,
    },
    /// The cluster's Nodes, from a watch of nothing but their names.
    KubeNode {
        name: Arc<str>,
    },
    KubeNodeGone {
        name: Arc<str>,
    },
    KubeNodesListed {
        names: BTreeSet<Arc<str>>,
    },
    /// Answers to actions.
    LeaseRead {
        node: Arc<str>,
        lease: Option<LeaseSeen>,
    },
    JobRead {
        uid: Arc<str>,
        job: Option<Box<Job>>,
    },
    SecretsRead {
        read: SecretsRead,
        outcome: Outcome,
    },
    Adopted {
        node: Arc<str>,
        object: Option<Box<NodeObject>>,
    },
    NodeWritten {
        node: Arc<str>,
        outcome: NodeOutcome,
    },
    StatusWritten {
        uid: Arc<str>,
        outcome: StatusOutcome,
    },
    /// What was left of a node whose Node is gone was taken away, or changed before, or the Node is there.
    Forgotten {
        node: Arc<str>,
    },
    /// The API server takes no write of this node, whatever it holds.
    NodeDenied {
        node: Arc<str>,
        why: String,
    },
    /// The API server takes no assignment of this job (P13).
    EntryRefused {
        uid: Arc<str>,
        why: String,
    },
}

/// What came of a node's write.
#[derive(Clone, Debug)]
pub enum NodeOutcome {
    /// The object after it.
    Written(Box<NodeObject>),
    /// A test failed or no answer came; the object by a live GET, if it is there (P5). Compute anew.
    Stale(Option<Box<NodeObject>>),
}

/// What came of a status's write.
#[derive(Clone, Debug)]
pub enum StatusOutcome {
    Written(Box<Job>),
    /// A test failed or no answer came; the job by a live GET, if it is there and the same (P5).
    Stale(Option<Box<Job>>),
    /// The API server refuses such a status, whatever it is tested against (P13).
    Refused,
    /// It takes none of us.
    Denied,
    /// It was not written: the ConfigMap that it tells of cannot be made of what this attempt left.
    Unpublished {
        fence: Arc<str>,
        why: String,
    },
}

impl State {
    /// Takes in what happened.
    pub fn observe(&mut self, event: Event, now: Now) {
        match event {
            Event::Job(job) => {
                let floor = self.list_floors.remove(&job.uid).unwrap_or(0);
                self.see_job(*job, floor);
            }
            Event::JobGone { uid } => self.forget_job(&uid),
            Event::JobsListing { namespace } => {
                let known: Vec<_> = self.jobs_of(namespace.as_ref()).map(|job| (job.uid.clone(), job.resource_version)).collect();
                self.list_floors.extend(known);
            }
            Event::JobsListed { namespace, uids } => {
                let vanished = self.jobs_of(namespace.as_ref()).map(|job| &job.uid).filter(|uid| !uids.contains(*uid));
                let vanished: Vec<_> = vanished.cloned().collect();
                for uid in &vanished {
                    self.forget_job(uid);
                }
            }
            Event::Node { name, object } => {
                let floor = self.nodes.get_mut(&name).map_or(0, |node| std::mem::take(&mut node.list_floor));
                self.see_node(&name, *object, floor, now);
            }
            Event::NodesListing => {
                for node in self.nodes.values_mut() {
                    node.list_floor = node.object.as_ref().map_or(0, |object| object.resource_version);
                }
            }
            Event::NodeGone { name } => self.lose_object(&name),
            Event::NodesListed { names } => {
                let vanished: Vec<_> = self.nodes.keys().filter(|name| !names.contains(*name)).cloned().collect();
                for name in &vanished {
                    self.lose_object(name);
                }
                self.nodes.values_mut().for_each(|node| node.list_floor = 0);
            }
            Event::Lease { node, lease } => self.see_lease(&node, Some(lease), now),
            Event::LeaseGone { node } => self.see_lease(&node, None, now),
            Event::LeasesListed { nodes } => {
                let vanished: Vec<_> = self.nodes.keys().filter(|name| !nodes.contains(*name)).cloned().collect();
                for name in &vanished {
                    self.see_lease(name, None, now);
                }
            }
            Event::KubeNode { name } => {
                if let Some(names) = &mut self.kube_nodes {
                    names.insert(name);
                }
            }
            Event::KubeNodeGone { name } => {
                if let Some(names) = &mut self.kube_nodes {
                    names.remove(&name);
                }
            }
            Event::KubeNodesListed { names } => self.kube_nodes = Some(names),
            Event::Forgotten { node } => self.forgotten(&node, now),
            Event::LeaseRead { node, lease } => self.lease_read(&node, lease, now),
            Event::JobRead { uid, job } => self.job_read(&uid, job.map(|job| *job)),
            Event::Adopted { node, object } => self.adopted(&node, object.map(|object| *object), now),
            Event::NodeWritten { node, outcome } => self.node_written(&node, outcome, now),
            Event::NodeDenied { node, why } => self.denied(&node, &why, now),
            Event::EntryRefused { uid, why } => {
                let why = format!("the API server refuses to hold an assignment of it: {why}");
                self.refused.insert(uid.clone(), (Reason::InvalidSpec, why));
                self.dirty.insert(uid);
            }
            Event::SecretsRead { read, outcome } => match &read.renews {
                Some(node) => self.secrets_renewed(node, &read, outcome),
                None => self.secrets_read(read, outcome, now),
            },
            Event::StatusWritten { uid, outcome } => self.status_written(&uid, outcome, now),
        }
    }

    /// All lists were taken in: from now on what has a live Lease and no object blocks (P14).
    pub fn begin(&mut self) {
        let unseen = |node: &Node| node.object.is_none() && node.lease.as_ref().is_some_and(|lease| !lease.holder.is_empty());
        self.listed = true;
        self.dirty.extend(self.work.keys().cloned());
        self.blockers = self.nodes.iter().filter(|(_, node)| unseen(node)).map(|(name, _)| name.clone()).collect();
    }

    fn jobs_of(&self, namespace: Option<&Arc<str>>) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(move |job| namespace.is_none_or(|namespace| *namespace == job.namespace))
    }

    fn see_job(&mut self, job: Job, floor: u64) {
        let uid = job.uid.clone();
        if let Some(known) = self.jobs.get(&uid) {
            if known.resource_version > job.resource_version {
                if job.resource_version < floor {
                    self.impossible = Some(format!(
                        "job {}/{} is read at version {} after {}",
                        job.namespace, job.name, job.resource_version, known.resource_version
                    ));
                }
                return;
            }
            if known.resource_version == job.resource_version {
                return;
            }
        }
        self.jobs.insert(uid.clone(), job);
        self.dirty.insert(uid);
    }

    fn forget_job(&mut self, uid: &Arc<str>) {
        if let Some(job) = self.jobs.remove(uid) {
            self.queue.remove(&(job.created, uid.clone()));
        }
        self.list_floors.remove(uid);
        self.stuck.remove(uid);
        self.phases.forget(uid);
        self.avoid.remove(uid);
        self.refused.remove(uid);
        self.unpublished.remove(uid);
        self.secrets.remove(uid);
        self.shrink.remove(uid);
        if let Some(at) = self.timer_of.remove(uid) {
            self.timers.remove(&(at, uid.clone()));
        }
        // What lies on nodes is found to be an orphan.
        self.dirty.insert(uid.clone());
    }

    fn job_read(&mut self, uid: &Arc<str>, job: Option<Job>) {
        self.asked.remove(uid);
        let floor = self.floors.remove(uid).unwrap_or(0);
        if let Some(job) = job {
            self.see_job(job, floor);
        } else {
            self.forget_job(uid);
            if self.work.contains_key(uid) {
                self.gone.insert(uid.clone());
            }
        }
        self.dirty.insert(uid.clone());
    }

    fn status_written(&mut self, uid: &Arc<str>, outcome: StatusOutcome, now: Now) {
        self.writing.remove(uid);
        self.phases.folded(uid, matches!(outcome, StatusOutcome::Written(_)), now);
        let floor = self.floors.remove(uid).unwrap_or(0);
        match outcome {
            StatusOutcome::Written(job) => {
                self.shrink.remove(uid);
                self.see_job(*job, floor);
            }
            StatusOutcome::Stale(Some(job)) => self.see_job(*job, floor),
            StatusOutcome::Stale(None) => self.forget_job(uid),
            StatusOutcome::Denied => {
                return self.wake(uid, now.wall.checked_add(DENIED_AGAIN_AFTER).unwrap_or(now.wall));
            }
            StatusOutcome::Unpublished { fence, why } => {
                self.unpublished.insert(uid.clone(), (fence, why));
            }
            StatusOutcome::Refused => {
                if !self.shrink.insert(uid.clone()) {
                    // Not in any size: the same bytes are not sent again and again (P13).
                    self.wake(uid, now.wall.checked_add(REFUSED_AGAIN_AFTER).unwrap_or(now.wall));
                    return;
                }
            }
        }
        self.dirty.insert(uid.clone());
    }

    fn node_written(&mut self, name: &Arc<str>, outcome: NodeOutcome, now: Now) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let write = node.writing.take().unwrap_or_default();
        let floor = node.floor;
        let ids = write.cancel.keys().chain(&write.remove);
        let of_entries: Vec<_> = ids.filter_map(|id| Some(node.entry(id)?.0.uid.clone())).collect();
        let is_written = matches!(outcome, NodeOutcome::Written(_));
        if is_written {
            node.denied = None;
        }
        match outcome {
            NodeOutcome::Written(object) | NodeOutcome::Stale(Some(object)) => self.see_node(name, *object, floor, now),
            // An object with another UID was made after what that answer tells.
            NodeOutcome::Stale(None) if node.object.as_ref().is_some_and(|object| object.uid == write.uid) => self.lose_object(name),
            NodeOutcome::Stale(None) => {}
        }
        for entry in write.add.values() {
            self.placing.remove(&entry.uid);
            self.phases.assigned(&entry.uid, is_written && self.work.contains_key(&entry.uid), now);
            self.dirty.insert(entry.uid.clone());
        }
        // Whatever of it was not done is found to be missing again; and where a watch overtook the answer, nothing else tells that the
        // entries may be touched again.
        self.dirty.extend(of_entries);
    }

    fn adopted(&mut self, name: &Arc<str>, object: Option<NodeObject>, now: Now) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.adopting = false;
        node.adopt_after = now.mono + ADOPT_AGAIN_AFTER;
        let floor = node.adopt_floor;
        if let Some(object) = object {
            node.unproven = node.unproven.take().filter(|uid| *uid != object.uid);
            node.denied = None;
            self.see_node(name, object, floor, now);
            self.look_at_stuck();
        }
    }

    fn forgotten(&mut self, name: &Arc<str>, now: Now) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.forgetting = false;
        node.forget_after = now.mono + FORGET_AGAIN_AFTER;
    }

    /// A node may take now what none took before.
    pub(crate) fn look_at_stuck(&mut self) {
        self.queue.extend(self.stuck.iter().map(|(uid, stuck)| (stuck.created, uid.clone())));
    }
}
