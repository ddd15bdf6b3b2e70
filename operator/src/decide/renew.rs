//! Sessions that end before their runs do: what those were given is read and sealed anew, in time.

use std::time::Duration;

use crate::action::{Action, SecretsRead};
use crate::state::{Now, State};

/// Between two tries to renew the same.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Renews what ends soon and is needed by an entry that has not ended.
pub(super) fn look(state: &mut State, now: Now, actions: &mut Vec<Action>) {
    state.renewals.retain(|_, again| *again > now.mono);
    let renew_before = state.settings.renew_before;
    for (name, node) in &state.nodes {
        let Some(object) = node.object.as_ref().filter(|_| node.is_taken(state.settings.epoch) && node.given_up.is_none()) else {
            continue;
        };
        for (key, sealed) in &object.sealed {
            let ends_soon =
                |until: jiff::Timestamp| Duration::try_from(until.duration_since(now.wall)).is_ok_and(|left| left < renew_before);
            if !sealed.until.is_some_and(ends_soon) || state.renewals.contains_key(&(name.clone(), key.clone())) {
                continue;
            }
            let is_running = |id: &str| object.report(id).is_none_or(|report| report.ended.is_none());
            let entry = object.assignments.iter().find(|(id, entry)| entry.sealed_key() == **key && !entry.cancel && is_running(id));
            let Some((_, entry)) = entry else { continue };
            let Some(uses) = state.jobs.get(&entry.uid).and_then(|job| job.secrets.clone()) else { continue };
            state.renewals.insert((name.clone(), key.clone()), now.mono + AGAIN_AFTER);
            actions.push(Action::ReadSecrets(SecretsRead {
                namespace: entry.namespace.clone(),
                name: entry.name.clone(),
                uid: entry.uid.clone(),
                run: entry.run,
                attempt: entry.attempt,
                uses,
                renews: Some(name.clone()),
            }));
        }
    }
}
