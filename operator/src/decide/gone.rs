//! Nodes whose Node is gone: what is left of them is taken away after a while (P14). Nothing else hangs on there being a Node.

use crate::action::Action;
use crate::state::{Node, Now, State};

/// Since when each node has had no Node.
pub(super) fn notice(state: &mut State, now: Now) {
    let Some(there) = &state.kube_nodes else { return };
    for (name, node) in &mut state.nodes {
        node.gone_since = if there.contains(name) { None } else { node.gone_since.or(Some(now.mono)) };
    }
}

/// Forgets those of which nothing may run, once everything else was decided.
pub(super) fn forget(state: &mut State, now: Now, actions: &mut Vec<Action>) {
    let settings = state.settings;
    for (name, node) in &mut state.nodes {
        let Some(since) = node.gone_since else { continue };
        let due = now.mono.saturating_sub(since) >= settings.gone_after && now.mono >= node.forget_after;
        let silent = now.mono.saturating_sub(node.lease_since) >= settings.lost_after;
        let is_left = node.object.is_some() || node.lease.is_some();
        if due && is_left && (silent || !has_holder(node)) && is_idle(node) {
            node.forgetting = true;
            let object = node.object.as_ref().map(|object| (object.uid.clone(), object.resource_version));
            let lease = node.lease.as_ref().map(|lease| lease.resource_version);
            actions.push(Action::ForgetNode { node: name.clone(), object, lease });
        }
    }
    let blockers = &state.blockers;
    let is_nothing = |node: &Node| node.gone_since.is_some() && node.object.is_none() && node.lease.is_none() && is_idle(node);
    state.nodes.retain(|name, node| blockers.contains(name) || !is_nothing(node));
}

/// Whether an agent says that it runs there.
fn has_holder(node: &Node) -> bool {
    node.lease.as_ref().is_some_and(|lease| !lease.holder.is_empty())
}

/// Nothing of it may run, and nothing about it is under way.
fn is_idle(node: &Node) -> bool {
    !node.has_work() && node.writing.is_none() && node.pending.is_empty() && !node.adopting && !node.asked && !node.forgetting
}

#[cfg(test)]
mod tests;
