//! What came of reading Secrets: kept until their job is placed, or not at all.

use std::sync::Arc;
use std::time::Duration;

use crds::secret::{Granted, SecretUse};

use super::{Now, State};
use crate::action::{Anew, SecretsRead};
use crate::secrets::{Outcome, Refusal};

/// How long what was read may wait for its assignment, before it is read again.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// Secret, Role and job may have been applied together, and rights take a moment to be known: for so long a refusal is asked again.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// An answer, with times of the leader's clock.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    Granted {
        at: Duration,
        /// What it was read for: a spec may have changed since.
        uses: Arc<[SecretUse]>,
        granted: Arc<Granted>,
    },
    /// Asked again then; refused since.
    Again { not_before: Duration, refused_since: Option<Duration> },
}

/// Whether a job's Secrets are at hand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ready {
    Granted(Arc<Granted>),
    /// They have to be read now.
    Read,
    /// They are read again after that long.
    Wait(Duration),
}

impl State {
    /// What was read for a job that is placed now. It is handed out once.
    pub(crate) fn take_secrets(&mut self, uid: &Arc<str>, uses: &[SecretUse], now: Now) -> Ready {
        match self.secrets.get(uid) {
            Some(Answered::Granted { at, uses: read, granted }) if **read == *uses && now.mono.saturating_sub(*at) <= FRESH_FOR => {
                let granted = granted.clone();
                self.secrets.remove(uid);
                Ready::Granted(granted)
            }
            Some(Answered::Again { not_before, .. }) if *not_before > now.mono => Ready::Wait(not_before.saturating_sub(now.mono)),
            Some(Answered::Granted { .. } | Answered::Again { .. }) | None => Ready::Read,
        }
    }

    /// What a run that is under way was given is read again; it goes to its node with the next write. Whatever else came of it, it is
    /// asked again before what it has ends.
    pub(super) fn secrets_renewed(&mut self, node: &Arc<str>, read: &SecretsRead, outcome: Outcome) {
        let key: Arc<str> = crds::node::sealed_key(&read.uid, read.run).into();
        let Some(on) = self.nodes.get_mut(node) else { return };
        match outcome {
            Outcome::Granted(granted) => {
                let is_needed = on.object.as_ref().is_some_and(|object| object.sealed.contains_key(&key));
                if is_needed {
                    on.pending.seal.insert(key, Anew { uid: read.uid.clone(), run: read.run, granted });
                }
            }
            Outcome::Refused(Refusal { message: why, .. }) | Outcome::Unanswered(why) => {
                tracing::warn!(namespace = &*read.namespace, name = &*read.name, why, "a session could not be renewed; trying again");
            }
        }
    }

    pub(super) fn secrets_read(&mut self, read: SecretsRead, outcome: Outcome, now: Now) {
        let SecretsRead { uid, uses, .. } = read;
        let uid = &uid;
        self.asked.remove(uid);
        self.reading.remove(uid);
        self.dirty.insert(uid.clone());
        if !self.jobs.contains_key(uid) {
            return;
        }
        let refused_since = match self.secrets.get(uid) {
            Some(Answered::Again { refused_since, .. }) => *refused_since,
            Some(Answered::Granted { .. }) | None => None,
        };
        let not_before = now.mono + AGAIN_AFTER;
        let answered = match outcome {
            Outcome::Granted(granted) => Answered::Granted { at: now.mono, uses, granted },
            Outcome::Unanswered(why) => {
                tracing::warn!(uid = &**uid, why, "Secrets could not be read; reading again");
                Answered::Again { not_before, refused_since }
            }
            Outcome::Refused(Refusal { reason, message, may_settle }) => {
                let since = refused_since.unwrap_or(now.mono);
                if !may_settle || now.mono.saturating_sub(since) >= SETTLES_WITHIN {
                    self.refused.insert(uid.clone(), (reason, message));
                }
                Answered::Again { not_before, refused_since: Some(since) }
            }
        };
        self.secrets.insert(uid.clone(), answered);
    }
}
