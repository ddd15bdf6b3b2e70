//! Which node gets a job, and why none does. Looks at nothing but what it is given.

use std::sync::Arc;

use crds::node::MOST_SEALED_BYTES;
use crds::quantity::Quantity;
use crds::secret::Granted;

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
    /// Its agent has a key that Secrets are sealed to.
    pub(crate) has_key: bool,
    /// What is sealed there for runs.
    pub(crate) sealed_bytes: usize,
}

/// An object of the API server has 1.5 MB at most, and entries and reports need theirs.
const MOST_SEALED: usize = 512 << 10;

/// What a job asks of a node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) memory_bytes: u64,
    /// It is given something of Secrets.
    pub(crate) secrets: bool,
    /// Nodes that refused it a moment ago.
    pub(crate) avoid: &'a [Arc<str>],
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
pub(crate) fn place(rooms: &[Room], asked: Asked<'_>) -> Place {
    let fits = |room: &&Room| refusal(room, asked).is_none();
    let sealable = |room: &Room| !asked.secrets || room.sealed_bytes + in_base64_bytes(MOST_SEALED_BYTES) <= MOST_SEALED;
    let enough = |room: &Room| room.memory_taken.saturating_add(asked.memory_bytes) <= room.memory_bytes && sealable(room);
    let free = |room: &Room| room.taken < room.slots && enough(room);
    let candidates = rooms.iter().enumerate().filter(|(_, room)| fits(room) && free(room));
    // taken_a / slots_a < taken_b / slots_b, without fractions.
    let emptiest = candidates.min_by(|(_, a), (_, b)| (a.taken * b.slots).cmp(&(b.taken * a.slots)).then_with(|| a.name.cmp(&b.name)));
    match emptiest {
        Some((position, _)) => Place::On(position),
        None if rooms.iter().any(|room| fits(&room)) => Place::Full,
        None => Place::Nowhere(explain(rooms, asked)),
    }
}

/// As much of the object as this takes.
pub(crate) fn in_base64(granted: &Granted) -> usize {
    in_base64_bytes(granted.to_bytes().len())
}

fn in_base64_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

// === impl Room ===

impl Room {
    /// One more goes there.
    pub(crate) fn take(&mut self, memory_bytes: u64, granted: Option<&Granted>) {
        self.taken += 1;
        self.memory_taken = self.memory_taken.saturating_add(memory_bytes);
        self.sealed_bytes += granted.map_or(0, in_base64);
    }
}

/// Why a node would not take the job even if it were empty.
fn refusal(room: &Room, asked: Asked<'_>) -> Option<String> {
    let Asked { memory_bytes, secrets, avoid } = asked;
    if let Some(why) = &room.closed {
        return Some(why.clone());
    }
    if room.memory_bytes < memory_bytes {
        return Some(format!("{} of memory, {} wanted", Quantity::of_bytes(room.memory_bytes).0, Quantity::of_bytes(memory_bytes).0));
    }
    if secrets && !room.has_key {
        return Some("its agent has no key to seal Secrets to: upgrade it".to_owned());
    }
    if room.slots == 0 {
        return Some("no slots".to_owned());
    }
    avoid.contains(&room.name).then(|| "refused it a moment ago".to_owned())
}

fn explain(rooms: &[Room], asked: Asked<'_>) -> String {
    if rooms.is_empty() {
        return "no node can take it: there are no nodes; is the agent's DaemonSet installed?".to_owned();
    }
    let mut said: Vec<String> =
        rooms.iter().filter_map(|room| Some(format!("{}: {}", room.name, refusal(room, asked)?))).take(NAMED).collect();
    if rooms.len() > NAMED {
        said.push(format!("and {} more", rooms.len() - NAMED));
    }
    format!("no node can take it: {}", said.join("; "))
}

#[cfg(test)]
mod tests;
