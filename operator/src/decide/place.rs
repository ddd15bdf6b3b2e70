//! Which node gets a job, and why none does. Looks at nothing but what it is given.

use std::sync::Arc;

use crds::quantity::Quantity;

/// A node as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) name: Arc<str>,
    /// Why it takes nothing at all.
    pub(crate) closed: Option<String>,
    pub(crate) slots: usize,
    pub(crate) taken: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_taken: u64,
}

/// Where a job may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// To this one of the nodes.
    On(usize),
    /// Nowhere now, but a node would take it that is full: it waits its turn.
    Full,
    /// Nowhere, and not because of the others' jobs: why, node by node.
    Nowhere(String),
}

/// As many nodes are named in a message.
const NAMED: usize = 8;

/// The node with the largest part of its slots free; of equals, the first by name.
pub(crate) fn place(rooms: &[Room], memory_bytes: u64, avoid: &[Arc<str>]) -> Place {
    let fits = |room: &&Room| refusal(room, memory_bytes, avoid).is_none();
    let free = |room: &Room| room.taken < room.slots && room.memory_taken.saturating_add(memory_bytes) <= room.memory_bytes;
    let candidates = rooms.iter().enumerate().filter(|(_, room)| fits(room) && free(room));
    // taken_a / slots_a < taken_b / slots_b, without fractions.
    let emptiest = candidates.min_by(|(_, a), (_, b)| (a.taken * b.slots).cmp(&(b.taken * a.slots)).then_with(|| a.name.cmp(&b.name)));
    match emptiest {
        Some((position, _)) => Place::On(position),
        None if rooms.iter().any(|room| fits(&room)) => Place::Full,
        None => Place::Nowhere(explain(rooms, memory_bytes, avoid)),
    }
}

/// Why a node would not take the job even if it were empty.
fn refusal(room: &Room, memory_bytes: u64, avoid: &[Arc<str>]) -> Option<String> {
    if let Some(why) = &room.closed {
        return Some(why.clone());
    }
    if room.memory_bytes < memory_bytes {
        return Some(format!("{} of memory, {} wanted", Quantity::of_bytes(room.memory_bytes).0, Quantity::of_bytes(memory_bytes).0));
    }
    if room.slots == 0 {
        return Some("no slots".to_owned());
    }
    avoid.contains(&room.name).then(|| "refused it a moment ago".to_owned())
}

fn explain(rooms: &[Room], memory_bytes: u64, avoid: &[Arc<str>]) -> String {
    if rooms.is_empty() {
        return "no node can take it: there are no nodes; is the agent's DaemonSet installed?".to_owned();
    }
    let mut said: Vec<String> =
        rooms.iter().filter_map(|room| Some(format!("{}: {}", room.name, refusal(room, memory_bytes, avoid)?))).take(NAMED).collect();
    if rooms.len() > NAMED {
        said.push(format!("and {} more", rooms.len() - NAMED));
    }
    format!("no node can take it: {}", said.join("; "))
}

#[cfg(test)]
mod tests;
