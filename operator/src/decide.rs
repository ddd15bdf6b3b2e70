//! State and time → what to ask of the API server. Pure: no client, no clock, no environment, no randomness.
//!
//! Per job the ladder of `step`; per node what its Lease says (`nodes`); between them the queue (`queue`).

mod fold;
mod gone;
mod nodes;
mod place;
mod queue;
mod renew;
mod retry;
mod step;

use std::sync::Arc;
use std::time::Duration;

use crate::action::{Action, NodeWrite, StatusWrite};
use crate::observe::Job;
use crate::results::NewConfigMaps;
use crate::state::{Now, State};

use self::step::{AVOID_AFTER_REFUSAL, Step, Work};

/// Everything that is to be asked now. What is asked counts as under way until its answer is observed.
pub fn decide(state: &mut State, now: Now) -> Vec<Action> {
    if let Some(why) = state.impossible.take() {
        return vec![Action::StartAgain { why }];
    }
    let mut actions = Vec::new();
    due(state, now);
    gone::notice(state, now);
    while let Some(uid) = state.dirty.pop_first() {
        consider(state, &uid, now, &mut actions);
    }
    nodes::look(state, now, &mut actions);
    queue::place_waiting(state, now, &mut actions);
    renew::look(state, now, &mut actions);
    nodes::flush(state, now, &mut actions);
    gone::forget(state, now, &mut actions);
    for action in &actions {
        remember_floor(state, action);
    }
    actions
}

/// What is known of an object when it is asked for: the answer is never older (P15).
fn remember_floor(state: &mut State, action: &Action) {
    match action {
        Action::WriteNode(NodeWrite { node, .. }) => {
            if let Some(node) = state.nodes.get_mut(node) {
                node.floor = node.object.as_ref().map_or(0, |object| object.resource_version);
            }
        }
        Action::Adopt { node } => {
            if let Some(node) = state.nodes.get_mut(node) {
                node.adopt_floor = node.object.as_ref().map_or(0, |object| object.resource_version);
            }
        }
        Action::GetLease { node } => {
            if let Some(node) = state.nodes.get_mut(node) {
                node.lease_floor = node.lease.as_ref().map_or(0, |lease| lease.resource_version);
            }
        }
        Action::WriteStatus(StatusWrite { uid, .. })
        | Action::GetJob { uid, .. }
        | Action::Follow { uid, .. }
        | Action::DeleteJob { uid, .. } => {
            let known = state.jobs.get(uid).map_or(0, |job| job.resource_version);
            state.floors.insert(uid.clone(), known);
        }
        Action::ReadSecrets(_) | Action::ForgetNode { .. } | Action::StartAgain { .. } => {}
    }
}

/// When to decide again although nothing happens: so long from now.
pub fn next_look(state: &State, now: Now) -> Duration {
    const TICK: Duration = Duration::from_secs(1);
    let timer = state.timers.first().map(|(at, _)| {
        let wait = at.duration_since(now.wall);
        Duration::try_from(wait).unwrap_or(Duration::ZERO)
    });
    let alone = nodes::next_flush(state, now);
    timer.into_iter().chain(alone).fold(TICK, Duration::min)
}

fn due(state: &mut State, now: Now) {
    while let Some((at, uid)) = state.timers.first().cloned() {
        if at > now.wall {
            break;
        }
        state.timers.pop_first();
        state.timer_of.remove(&uid);
        state.dirty.insert(uid);
    }
}

/// One job. Whatever is being written of it is waited for.
fn consider(state: &mut State, uid: &Arc<str>, now: Now, actions: &mut Vec<Action>) {
    if state.writing.contains(uid) || state.placing.contains(uid) || state.asked.contains(uid) {
        return;
    }
    let places: Vec<_> = state.work.get(uid).into_iter().flatten().cloned().collect();
    let Some(job) = state.jobs.get(uid) else {
        return nodes::orphan(state, uid, &places, actions);
    };
    if places.is_empty() {
        let step = match state.refused.get(uid).filter(|_| !job.is_finished()) {
            Some((reason, why)) => step::refused(job, *reason, why, now.wall),
            None => step::without_work(job, now.wall),
        };
        return perform(state, uid, None, step, now, actions);
    }
    for (node, id) in places {
        let Some(job) = state.jobs.get(uid) else { return };
        let Some(on) = state.nodes.get(&node).filter(|on| !on.is_writing(&id)) else { continue };
        let Some((entry, report, given_up)) = on.entry(&id) else { continue };
        let step = step::with_work(
            job,
            &Work {
                node: &node,
                entry,
                report,
                given_up,
                is_sealed_to_another: on.is_sealed_to_another(entry),
                unpublished: state.why_unpublished(uid, &entry.fence),
            },
            now.wall,
        );
        perform(state, uid, Some((&node, &id)), step, now, actions);
        if state.writing.contains(uid) {
            return;
        }
    }
}

fn perform(state: &mut State, uid: &Arc<str>, place: Option<(&Arc<str>, &Arc<str>)>, step: Step, now: Now, actions: &mut Vec<Action>) {
    let Some(job) = state.jobs.get(uid) else { return };
    let (namespace, name, created) = (job.namespace.clone(), job.name.clone(), job.created);
    if step != Step::Enqueue {
        state.queue.remove(&(created, uid.clone()));
        state.stuck.remove(uid);
        state.phases.left(uid);
        // Values wait for nothing but a place.
        state.secrets.remove(uid);
    }
    match (step, place) {
        (Step::Wait(until), _) => {
            if let Some(until) = until {
                state.wake(uid, until);
            }
        }
        (Step::Enqueue, _) => {
            // No node may ever take it.
            if let Some(deadline) = fold::deadline(job) {
                state.wake(uid, deadline);
            }
            state.queue.insert((created, uid.clone()));
            state.phases.queued(uid, now);
        }
        (Step::Cancel, Some((node, id))) => nodes::cancel(state, node, id),
        (Step::Release, Some((node, id))) => nodes::release(state, node, id),
        (Step::ReleaseAndAvoid, Some((node, id))) => {
            let until = now.wall.checked_add(AVOID_AFTER_REFUSAL).unwrap_or(now.wall);
            state.avoid.entry(uid.clone()).or_default().push((node.clone(), until));
            nodes::release(state, node, id);
        }
        (Step::Cancel | Step::Release | Step::ReleaseAndAvoid, None) => {}
        (Step::Write { status, live }, _) => {
            state.writing.insert(uid.clone());
            state.phases.folding(uid);
            let status = if state.shrink.contains(uid) { Box::new(status.shrunk()) } else { status };
            actions.push(write(job_of(state, uid), status, live));
        }
        (Step::Publish { status, config_maps }, _) => {
            state.writing.insert(uid.clone());
            state.phases.folding(uid);
            let status = if state.shrink.contains(uid) { Box::new(status.shrunk()) } else { status };
            actions.push(publish(job_of(state, uid), status, config_maps));
        }
        (Step::Follow, _) => {
            state.asked.insert(uid.clone());
            actions.push(Action::Follow { namespace, name, uid: uid.clone() });
        }
        (Step::Delete, _) => {
            state.asked.insert(uid.clone());
            let resource_version = job_of(state, uid).resource_version;
            actions.push(Action::DeleteJob { namespace, name, uid: uid.clone(), resource_version });
        }
    }
}

fn job_of<'a>(state: &'a State, uid: &Arc<str>) -> &'a Job {
    state.jobs.get(uid).expect("the caller has looked it up")
}

fn write(job: &Job, status: Box<crds::status::WasmJobStatus>, live: bool) -> Action {
    Action::WriteStatus(StatusWrite {
        namespace: job.namespace.clone(),
        name: job.name.clone(),
        uid: job.uid.clone(),
        resource_version: job.resource_version,
        status,
        config_maps: None,
        live,
    })
}

fn publish(job: &Job, status: Box<crds::status::WasmJobStatus>, config_maps: Box<NewConfigMaps>) -> Action {
    Action::WriteStatus(StatusWrite {
        namespace: job.namespace.clone(),
        name: job.name.clone(),
        uid: job.uid.clone(),
        resource_version: job.resource_version,
        status,
        config_maps: Some(config_maps),
        live: false,
    })
}

#[cfg(test)]
mod tests;
