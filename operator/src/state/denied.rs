//! Nodes of which the API server takes no write: a right is missing, or a policy refuses them all. Each is left alone for longer and longer;
//! its jobs go elsewhere meanwhile, or their status says why they do not.

use std::sync::Arc;
use std::time::Duration;

use super::{Node, Now, State};

/// How long a node is left alone at first, and at most.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// So much of what the API server said stands in the status of jobs.
const SAID: usize = 300;

/// Writes that were not taken, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    /// As the API server said it last.
    pub(crate) why: String,
    pub(crate) times: u32,
    /// When the next one may be sent.
    pub(crate) until: Duration,
}

impl State {
    /// Why the API server took no write of the node when one was sent last; `None` if it did.
    pub fn denial(&self, name: &str) -> Option<&str> {
        Some(&self.nodes.get(name)?.denied.as_ref()?.why)
    }

    /// Nodes of which it takes none.
    pub fn denied_nodes(&self) -> usize {
        self.nodes.values().filter(|node| node.denied.is_some()).count()
    }

    pub(super) fn denied(&mut self, name: &Arc<str>, why: &str, now: Now) {
        let node = self.nodes.entry(name.clone()).or_default();
        let times = node.denied.as_ref().map_or(0, |denied| denied.times).saturating_add(1);
        let wait = FIRST.saturating_mul(1_u32.checked_shl(times - 1).unwrap_or(u32::MAX)).min(LONGEST);
        node.denied = Some(Denied { why: why.chars().take(SAID).collect(), times, until: now.mono + wait });
        // What gathered for it may go elsewhere.
        let added: Vec<_> = std::mem::take(&mut node.pending.add).into_values().map(|entry| entry.uid).collect();
        for uid in added {
            self.placing.remove(&uid);
            self.phases.assigned(&uid, false, now);
            self.dirty.insert(uid);
        }
    }
}

impl Node {
    /// Whether it is being left alone.
    pub(crate) fn is_denied(&self, now: Now) -> bool {
        self.denied.as_ref().is_some_and(|denied| now.mono < denied.until)
    }
}
