//! What really happened, and whether it may have: the invariants of the protocol, looked at after every step.
//!
//! I1 at most one live worker per job, run and index. I2 an end is final and is the result of exactly one attempt. I3 attempts are counted
//! once. I4 in the end every job has ended and nothing is left. I5 a released entry never comes back, and nothing of it runs. I6 is that
//! all of it holds whoever writes late. `ends` looks at jobs.

mod ends;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::api::{Api, Kind};
use super::clock::Millis;
use super::guest::{Ending, Guest, Node};

/// A guest that started.
#[derive(Clone, Debug)]
struct Start {
    uid: Arc<str>,
    run: i64,
    hash: String,
    /// A guest of the same fence with other ones is another guest.
    pod: Arc<str>,
    since: Millis,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Changes that were looked at.
    looked: usize,
    /// By fence.
    starts: BTreeMap<Arc<str>, Start>,
    endings: BTreeMap<Arc<str>, Ending>,
    /// Fences of entries, with job UID and run.
    placed: BTreeMap<Arc<str>, (Arc<str>, i64)>,
    /// The same, of what a backup does not know too.
    ever_placed: BTreeMap<Arc<str>, (Arc<str>, i64)>,
    released: BTreeSet<Arc<str>>,
    /// The end of each run, by job UID and run.
    ends: BTreeMap<(Arc<str>, i64), Arc<Value>>,
}

// === impl Ledger ===

impl Ledger {
    /// How often a job was started.
    pub(crate) fn starts_of(&self, uid: &str) -> usize {
        self.starts.values().filter(|start| *start.uid == *uid).count()
    }

    pub(crate) fn attempts(&self) -> usize {
        self.ever_placed.len()
    }

    pub(crate) fn guest_ended(&mut self, guest: &Guest, ending: Ending) {
        self.endings.insert(guest.fence.clone(), ending);
    }

    /// What the API server knew is what it knew at the backup; what ran has run.
    pub(crate) fn restore(&mut self, backup: Self, looked: usize) {
        self.looked = looked;
        self.placed = backup.placed;
        self.released = backup.released;
        self.ends = backup.ends;
    }

    /// Looks at everything that is new.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn look(
        &mut self,
        api: &Api,
        nodes: &BTreeMap<Arc<str>, Node>,
        published: &BTreeMap<String, Arc<str>>,
    ) -> Result<(), String> {
        self.look_at_guests(nodes)?;
        while let Some(change) = api.changes.get(self.looked).cloned() {
            self.looked += 1;
            match change.key.kind {
                Kind::Node => self.look_at_entries(api, nodes, change.before.as_deref(), change.after.as_deref())?,
                Kind::Job => {
                    if let Some(after) = &change.after {
                        self.look_at_job(change.before.as_deref(), after)?;
                    }
                }
                Kind::Lease | Kind::KubeNode => {}
            }
        }
        self.look_at_results(published)
    }

    fn look_at_guests(&mut self, nodes: &BTreeMap<Arc<str>, Node>) -> Result<(), String> {
        let mut alive = BTreeMap::new();
        for guest in nodes.values().flat_map(|node| &node.guests) {
            if let Some(other) = alive.insert((guest.uid.clone(), guest.run), guest) {
                return Err(format!(
                    "I1: {} runs on {} as {} and on {} as {}",
                    guest.job, other.node, other.fence, guest.node, guest.fence
                ));
            }
            if self.released.contains(&guest.fence) {
                return Err(format!("I5: {} runs on {} as {}, which was released", guest.job, guest.node, guest.fence));
            }
            match self.starts.get(&guest.fence) {
                Some(start) if start.pod == guest.pod && start.since == guest.since => {}
                Some(_) => return Err(format!("P12: {} has started twice", guest.fence)),
                None => self.started(guest)?,
            }
        }
        Ok(())
    }

    fn started(&mut self, guest: &Guest) -> Result<(), String> {
        if guest.runs != guest.meant || !guest.is_wanted {
            return Err(format!("P2: on {} runs {:?}, meant was {:?}, wanted: {}", guest.node, guest.runs, guest.meant, guest.is_wanted));
        }
        let Guest { uid, run, pod, since, .. } = guest.clone();
        self.starts.insert(guest.fence.clone(), Start { uid, run, hash: guest.runs.1.clone(), pod, since });
        Ok(())
    }

    fn look_at_entries(
        &mut self,
        api: &Api,
        nodes: &BTreeMap<Arc<str>, Node>,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Result<(), String> {
        let (old, new) = (before.map_or_else(Map::new, entries), after.map_or_else(Map::new, entries));
        for (id, entry) in &new {
            if old.get(id).is_some_and(|known| known["fence"] == entry["fence"]) {
                continue;
            }
            self.look_at_new_entry(api, id, entry)?;
        }
        if after.is_none() {
            return Ok(());
        }
        for (id, entry) in old.iter().filter(|(id, entry)| new.get(*id).is_none_or(|known| known["fence"] != entry["fence"])) {
            let fence: Arc<str> = entry["fence"].as_str().unwrap_or_default().into();
            if let Some(guest) = nodes.values().flat_map(|node| &node.guests).find(|guest| guest.fence == fence) {
                return Err(format!("I5: {id} is released while it runs on {}", guest.node));
            }
            self.released.insert(fence);
        }
        Ok(())
    }

    fn look_at_new_entry(&mut self, api: &Api, id: &str, entry: &Value) -> Result<(), String> {
        let text = |value: &Value| Arc::<str>::from(value.as_str().unwrap_or_default());
        let (fence, uid, run) = (text(&entry["fence"]), text(&entry["job"]["uid"]), entry["job"]["run"].as_i64().unwrap_or(0));
        self.ever_placed.insert(fence.clone(), (uid.clone(), run));
        if self.placed.insert(fence.clone(), (uid.clone(), run)).is_some() {
            return Err(format!("I5: {fence} of {id} comes back"));
        }
        let all = api.objects.iter().filter(|(key, _)| key.kind == Kind::Node).flat_map(|(_, node)| entries(node));
        let same = all.filter(|(_, other)| other["job"]["uid"] == *uid && other["job"]["run"] == run);
        if same.count() > 1 {
            return Err(format!("I1: {id} is assigned while the same job is assigned already"));
        }
        Ok(())
    }

    /// P17: what a job's results name is what that attempt wrote.
    fn look_at_results(&self, published: &BTreeMap<String, Arc<str>>) -> Result<(), String> {
        for ((uid, _), job) in &self.ends {
            let (Some(result), Some(fence)) = (job["status"]["results"].get(0), job["status"]["output"]["stdoutTail"].as_str()) else {
                continue;
            };
            let prefix = result["uri"].as_str().and_then(|uri| uri.strip_prefix("s3://bucket/")).unwrap_or_default();
            let holds = published.get(prefix).map(|fence| &**fence);
            if holds != Some(fence) {
                return Err(format!("P17: the results of {uid} are {fence}'s, and {prefix} holds {holds:?}"));
            }
        }
        Ok(())
    }
}

/// The entries of a node, each of which it has as a line.
fn entries(node: &Value) -> Map<String, Value> {
    let read =
        |line: &Value| serde_json::from_str(line.as_str().unwrap_or_default().trim_start_matches(crds::node::CANCEL)).unwrap_or_default();
    node["spec"]["assignments"].as_object().into_iter().flatten().map(|(id, line)| (id.clone(), read(line))).collect()
}

/// I4: nothing is left to do.
///
/// # Errors
/// What is.
pub(crate) fn finished(api: &Api) -> Result<(), String> {
    for (key, object) in &api.objects {
        match key.kind {
            Kind::Job if object["status"]["completionTime"].is_null() => {
                return Err(format!("I4: job {} has not ended: {}", key.name, object["status"]["conditions"][0]));
            }
            Kind::Job if object["spec"]["ttlSecondsAfterFinished"].is_i64() => {
                return Err(format!("I4: job {} has not been deleted", key.name));
            }
            Kind::Node => {
                for part in ["/spec/assignments", "/status/reports"] {
                    let left = object.pointer(part).and_then(Value::as_object).map_or(0, Map::len);
                    if left > 0 {
                        return Err(format!("I4: node {} still has {left} in {part}", key.name));
                    }
                }
            }
            Kind::Job | Kind::Lease | Kind::KubeNode => {}
        }
    }
    Ok(())
}
