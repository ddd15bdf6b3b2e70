//! Nodes: which are given up (P10), which have to be adopted (P8), and the one write of each that is in flight (P6).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::node::sealed_key;

use crate::action::{Action, NewEntry, NodeWrite};
use crate::observe::NodeObject;
use crate::state::{Node, Now, State};

/// Entries that one write adds, so that it stays below 32 KiB; and changes in one write.
const MOST_ADDED: usize = 64;
const MOST_CHANGED: usize = 128;
/// Bytes that one write seals; of a single run, as much as there is.
const MOST_SEALED: usize = 24 << 10;
/// Removals alone wait for so many, or so long.
const COMPANY: usize = 32;
const ALONE_FOR: Duration = Duration::from_millis(500);

/// Looks at every node's Lease and epoch.
pub(super) fn look(state: &mut State, now: Now, actions: &mut Vec<Action>) {
    let lost = lost(state, now);
    let brake = brake(state, &lost, now);
    for name in lost {
        let released = is_released(&state.nodes[&name]);
        let has_work = state.nodes[&name].has_work() || state.blockers.contains(&name);
        // A released Lease is no loss: its agent has reported, or is dead.
        if has_work
            && (!brake || released)
            && let Some(node) = state.nodes.get_mut(&name)
            && !node.asked
            && node.given_up.is_none()
        {
            node.asked = true;
            actions.push(Action::GetLease { node: name });
        }
    }
    for (name, node) in &mut state.nodes {
        let epoch = state.settings.epoch;
        let foreign = node.object.as_ref().is_some_and(|object| object.epoch <= epoch) && !node.is_taken(epoch);
        if foreign && !node.adopting && now.mono >= node.adopt_after && !node.is_denied(now) {
            node.adopting = true;
            node.unproven = node.object.as_ref().map(|object| object.uid.clone());
            actions.push(Action::Adopt { node: name.clone() });
        }
    }
}

fn is_released(node: &Node) -> bool {
    node.lease.as_ref().is_some_and(|lease| lease.holder.is_empty())
}

/// Nodes whose Lease has been the same for L, or was released.
fn lost(state: &State, now: Now) -> Vec<Arc<str>> {
    let silent = |node: &Node| now.mono.saturating_sub(node.lease_since) >= state.settings.lost_after;
    state.nodes.iter().filter(|(_, node)| silent(node) || is_released(node)).map(|(name, _)| name.clone()).collect()
}

/// Whether more than half of the nodes went at once, a while ago at most: then the fault is likelier ours (P16). Nodes that were deleted do
/// not count.
fn brake(state: &mut State, lost: &[Arc<str>], now: Now) -> bool {
    let counts = |node: &Node| node.gone_since.is_none() && (node.object.is_some() || node.has_work());
    let silent = lost.iter().map(|name| &state.nodes[name]).filter(|node| node.gone_since.is_none() && !is_released(node)).count();
    let total = state.nodes.values().filter(|node| counts(node)).count();
    if total < 2 || silent * 2 <= total {
        state.brake_since = None;
        return false;
    }
    let since = *state.brake_since.get_or_insert(now.mono);
    now.mono.saturating_sub(since) < state.settings.brake_for
}

/// An entry of a job that is not in view: cancelled once a live look says that the job is gone (P14), and taken back when it has ended.
pub(super) fn orphan(state: &mut State, uid: &Arc<str>, places: &[(Arc<str>, Arc<str>)], actions: &mut Vec<Action>) {
    if !state.listed {
        return;
    }
    for (node, id) in places {
        let Some((entry, report, given_up)) = state.nodes.get(node).filter(|on| !on.is_writing(id)).and_then(|on| on.entry(id)) else {
            continue;
        };
        let ended = given_up || report.is_some_and(|report| report.ended.is_some());
        if !state.gone.contains(uid) {
            actions.push(Action::GetJob { namespace: entry.namespace.clone(), name: entry.name.clone(), uid: uid.clone() });
            state.asked.insert(uid.clone());
            return;
        }
        if ended {
            release(state, node, id);
        } else if !entry.cancel {
            cancel(state, node, id);
        }
    }
}

/// Tells the node to end an entry, with its next write.
pub(super) fn cancel(state: &mut State, node: &Arc<str>, id: &Arc<str>) {
    let Some(on) = state.nodes.get_mut(node) else { return };
    if let Some(entry) = on.object.as_ref().and_then(|object| object.assignments.get(id)) {
        on.pending.cancel.insert(id.clone(), entry.line.clone());
    }
}

/// Takes an entry back, with the node's next write.
pub(super) fn release(state: &mut State, node: &Arc<str>, id: &Arc<str>) {
    let Some(on) = state.nodes.get_mut(node) else { return };
    if on.object.as_ref().is_some_and(|object| object.assignments.contains_key(id)) {
        on.pending.remove.insert(id.clone());
    } else {
        state.exorcise(node, id);
    }
}

/// Gives an entry to a node, with its next write.
pub(super) fn give(state: &mut State, node: &Arc<str>, id: Arc<str>, entry: NewEntry) {
    state.placing.insert(entry.uid.clone());
    if let Some(on) = state.nodes.get_mut(node) {
        on.pending.add.insert(id, entry);
    }
}

/// Starts the next write of every node that has something to write and nothing in flight.
pub(super) fn flush(state: &mut State, now: Now, actions: &mut Vec<Action>) {
    let epoch = state.settings.epoch;
    for (name, node) in &mut state.nodes {
        let may_write = node.may_write(epoch, now);
        let Some(object) = node.object.as_ref().filter(|_| may_write) else { continue };
        if node.pending.is_empty() || !has_company(&node.pending, &mut node.alone_since, now) {
            continue;
        }
        node.alone_since = None;
        let mut write = NodeWrite {
            node: name.clone(),
            uid: object.uid.clone(),
            epoch,
            sequence: object.sequence,
            given_up_at: node.given_up,
            key: object.key.clone(),
            ..split(&mut node.pending)
        };
        prune(object, &mut write);
        node.writing = Some(write.clone());
        actions.push(Action::WriteNode(write));
    }
}

/// What is sealed there for runs of which this write leaves nothing goes with it; by itself it is no reason to write. Nor is anything
/// sealed anew for such a run.
fn prune(object: &NodeObject, write: &mut NodeWrite) {
    if object.sealed.is_empty() {
        return;
    }
    let stays = object.assignments.iter().filter(|(id, _)| !write.remove.contains(*id)).map(|(_, entry)| entry.sealed_key());
    let comes = write.add.values().map(|entry| sealed_key(&entry.uid, entry.run));
    let needed: BTreeSet<String> = stays.chain(comes).collect();
    write.unseal = object.sealed.keys().filter(|key| !needed.contains(&***key)).cloned().collect();
    write.seal.retain(|key, _| needed.contains(&**key));
}

/// When removals have waited long enough for company.
pub(super) fn next_flush(state: &State, now: Now) -> Option<Duration> {
    let open = state.nodes.values().filter(|node| node.may_write(state.settings.epoch, now));
    open.filter_map(|node| Some((node.alone_since? + ALONE_FOR).saturating_sub(now.mono))).min()
}

fn has_company(pending: &NodeWrite, alone_since: &mut Option<Duration>, now: Now) -> bool {
    if !pending.add.is_empty() || !pending.cancel.is_empty() || !pending.seal.is_empty() || pending.remove.len() >= COMPANY {
        return true;
    }
    let since = *alone_since.get_or_insert(now.mono);
    now.mono.saturating_sub(since) >= ALONE_FOR
}

/// As much as one write carries; the rest stays.
fn split(pending: &mut NodeWrite) -> NodeWrite {
    let mut write = NodeWrite::default();
    let mut sealed_bytes = 0;
    while (sealed_bytes == 0 || sealed_bytes < MOST_SEALED)
        && let Some((key, anew)) = pending.seal.pop_first()
    {
        sealed_bytes += anew.granted.to_bytes().len();
        write.seal.insert(key, anew);
    }
    while write.add.len() < MOST_ADDED
        && let Some((id, entry)) = pending.add.pop_first()
    {
        let bytes = entry.granted.as_ref().map_or(0, |granted| granted.to_bytes().len());
        if sealed_bytes + bytes > MOST_SEALED && (!write.add.is_empty() || !write.seal.is_empty()) {
            pending.add.insert(id, entry);
            break;
        }
        sealed_bytes += bytes;
        write.add.insert(id, entry);
    }
    while write.add.len() + write.cancel.len() < MOST_CHANGED
        && let Some((id, line)) = pending.cancel.pop_first()
    {
        write.cancel.insert(id, line);
    }
    while write.add.len() + write.cancel.len() + write.remove.len() < MOST_CHANGED
        && let Some(id) = pending.remove.pop_first()
    {
        write.remove.insert(id);
    }
    write
}
