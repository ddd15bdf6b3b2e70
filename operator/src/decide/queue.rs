//! The queue: oldest first, each to the node with the most room; and who is told that no node takes it.

use std::sync::Arc;
use std::time::Duration;

use crds::condition::{self, RunState};
use crds::node::assignment_id;
use crds::secret::{Granted, SecretUse};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::place::{Asked, Place, Room, in_base64, place};
use super::{fold, nodes, retry, write};
use crate::action::{Action, NewEntry, SecretsRead};
use crate::observe::{Job, NodeObject};
use crate::state::{Node, Now, Ready, State, Stuck};

/// How long a job must have been stuck before its status says so: most find a place before.
const STUCK_FOR: Duration = Duration::from_secs(1);
/// Jobs told in one second that they are stuck: ten thousand at once must not be ten thousand writes at once.
const TOLD_IN_A_SECOND: usize = 10;
/// Jobs that are passed over because they need more memory than is free, before the rest waits too.
const PASSED_OVER: usize = 64;

/// Jobs whose Secrets are read at the same time; the others keep their place.
const READ_AT_ONCE: usize = 32;

/// Places as many jobs as there is room for.
pub(super) fn place_waiting(state: &mut State, now: Now, actions: &mut Vec<Action>) {
    if state.queue.is_empty() || !state.blockers.is_empty() {
        return;
    }
    let mut rooms = rooms(state, now);
    let mut passed_over = Vec::new();
    while passed_over.len() < PASSED_OVER
        && let Some((created, uid)) = state.queue.pop_first()
    {
        if state.placing.contains(&uid) || state.writing.contains(&uid) {
            continue;
        }
        let (avoid, until) = avoided(state, &uid, now.wall);
        let Some(job) = state.jobs.get(&uid) else { continue };
        let asked = Asked { memory_bytes: job.memory_bytes, secrets: job.secrets.is_some(), avoid: &avoid };
        match place(&rooms, asked) {
            Place::On(position) => {
                let memory_bytes = job.memory_bytes;
                let (id, mut entry) = entry(job);
                if let Some(uses) = job.secrets.clone() {
                    if state.reading.len() >= READ_AT_ONCE {
                        passed_over.push((created, uid));
                        continue;
                    }
                    entry.granted = granted(state, &uid, uses, now, actions);
                }
                let room = &mut rooms[position];
                room.take(memory_bytes, entry.granted.as_deref());
                if asked.secrets && entry.granted.is_none() {
                    continue;
                }
                state.stuck.remove(&uid);
                state.phases.placed(&uid, now);
                nodes::give(state, &room.name.clone(), id, entry);
            }
            Place::Full => passed_over.push((created, uid)),
            Place::Nowhere(why) => {
                tell(state, &uid, &why, now, actions);
                if let Some(until) = until {
                    state.wake(&uid, until);
                }
            }
        }
        if rooms.iter().all(|room| room.closed.is_some() || room.taken >= room.slots) && rooms.iter().any(|room| room.closed.is_none()) {
            break;
        }
    }
    state.queue.extend(passed_over);
}

/// What a job that has a place is given of Secrets. `None`: they have to be read first, and the job comes back when they are.
fn granted(state: &mut State, uid: &Arc<str>, uses: Arc<[SecretUse]>, now: Now, actions: &mut Vec<Action>) -> Option<Arc<Granted>> {
    match state.take_secrets(uid, &uses, now) {
        Ready::Granted(granted) => return Some(granted),
        Ready::Read => {
            let job = state.jobs.get(uid)?;
            actions.push(Action::ReadSecrets(SecretsRead {
                namespace: job.namespace.clone(),
                name: job.name.clone(),
                uid: uid.clone(),
                run: job.run(),
                attempt: retry::next_attempt(&fold::tries(job)),
                uses,
                renews: None,
            }));
            state.asked.insert(uid.clone());
            state.reading.insert(uid.clone());
        }
        Ready::Wait(wait) => {
            let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
            state.wake(uid, now.wall.checked_add(wait).unwrap_or(now.wall));
        }
    }
    None
}

/// What every node has left, what is being written included.
fn rooms(state: &State, now: Now) -> Vec<Room> {
    let room = |(name, node): (&Arc<str>, &Node)| {
        let object = node.object.as_ref()?;
        let memory = |uid: &Arc<str>| state.jobs.get(uid).map_or(0, |job| job.memory_bytes);
        let there = object.assignments.values().map(|entry| &entry.uid);
        let writing = node.writing.iter().flat_map(|write| write.add.values()).chain(node.pending.add.values()).map(|entry| &entry.uid);
        let (taken, memory_taken) = there.chain(writing).fold((0, 0_u64), |(count, sum), uid| (count + 1, sum.saturating_add(memory(uid))));
        let leaving = node.pending.remove.len() + node.writing.as_ref().map_or(0, |write| write.remove.len());
        Some(Room {
            name: name.clone(),
            closed: state.closed(name, now),
            slots: object.slots,
            // What is about to be taken back has ended: its slot is free.
            taken: usize::saturating_sub(taken, leaving),
            memory_bytes: object.memory_bytes,
            memory_taken,
            has_key: object.key.is_some(),
            sealed_bytes: sealed_bytes(object, node),
        })
    };
    state.nodes.iter().filter_map(room).collect()
}

/// What is sealed there, and what is being written.
fn sealed_bytes(object: &NodeObject, node: &Node) -> usize {
    let there: usize = object.sealed.values().map(|sealed| sealed.bytes).sum();
    let writing = node.writing.iter().flat_map(|write| write.add.values()).chain(node.pending.add.values());
    there + writing.filter_map(|entry| entry.granted.as_deref()).map(in_base64).sum::<usize>()
}

fn avoided(state: &mut State, uid: &Arc<str>, now: Timestamp) -> (Vec<Arc<str>>, Option<Timestamp>) {
    let Some(list) = state.avoid.get_mut(uid) else { return (Vec::new(), None) };
    list.retain(|(_, until)| *until > now);
    let avoided = (list.iter().map(|(node, _)| node.clone()).collect(), list.iter().map(|(_, until)| *until).min());
    if list.is_empty() {
        state.avoid.remove(uid);
    }
    avoided
}

fn entry(job: &Job) -> (Arc<str>, NewEntry) {
    let attempt = retry::next_attempt(&fold::tries(job));
    let entry = NewEntry {
        namespace: job.namespace.clone(),
        name: job.name.clone(),
        uid: job.uid.clone(),
        run: job.run(),
        generation: job.generation,
        spec_hash: job.spec_hash.hex(),
        attempt,
        granted: None,
    };
    (assignment_id(&job.uid, job.run(), 0, attempt).into(), entry)
}

/// Remembers that no node takes the job, and says so in its status when that lasts.
fn tell(state: &mut State, uid: &Arc<str>, why: &str, now: Now, actions: &mut Vec<Action>) {
    let Some(job) = state.jobs.get(uid) else { return };
    let stuck = state.stuck.entry(uid.clone()).or_insert(Stuck { since: now.wall, created: job.created });
    let due = stuck.since.checked_add(STUCK_FOR).unwrap_or(now.wall);
    let is_said = |condition: &Condition| condition.type_ == condition::SCHEDULED && condition.message == why;
    let of_this_spec = job.unfinished().filter(|status| status.observed_generation == Some(job.generation));
    if of_this_spec.is_some_and(|status| status.conditions.iter().any(is_said)) {
        return;
    }
    let (second, count) = state.told;
    let count = if second == now.mono.as_secs() { count } else { 0 };
    if now.wall < due || count >= TOLD_IN_A_SECOND {
        let again = now.wall.checked_add(STUCK_FOR).unwrap_or(now.wall);
        return state.wake(uid, due.max(again));
    }
    let status = fold::without_report(job, RunState::Unschedulable { message: why }, retry::next_attempt(&fold::tries(job)), now.wall);
    actions.push(write(job, Box::new(status), false));
    state.told = (now.mono.as_secs(), count + 1);
    state.writing.insert(uid.clone());
}
