//! The node's Lease: held by one pod at a time, renewed on a connection of its own, and the time until which guests may run because of
//! it. Decides nothing about assignments.
//!
//! P10: every guest is dead `fence` after the *send* time of the last renewal that was acknowledged. Clocks of two machines are never
//! compared.

mod claim;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use runner::lease::{Deadline, boottime_nanoseconds};
use tracing::{info, warn};

use self::claim::{Claim, Unchanged, claim};
use crate::client::{CallError, chain, within};
use crate::metrics::{Metrics, outcome};
use crate::node_meta;
use crate::seen::Seen;

/// R, S, K and L of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Between renewals.
    pub renew: Duration,
    /// From the send time of a renewal to the death of every guest.
    pub fence: Duration,
    /// What killing takes at most.
    pub kill: Duration,
    /// What the operator waits at least before it gives work away.
    pub lease: Duration,
}

/// Timings under which two nodes could run the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTimings {
    #[error(
        "--fence-seconds and --kill-seconds together must be less than 99 % of --lease-seconds: guests must be dead before their work is given away"
    )]
    FenceTooLong,
    #[error("--renew-seconds, and one call's time, must be less than --fence-seconds: no guest would live from one renewal to the next")]
    RenewTooSeldom,
}

/// Whose Lease it is to be, and how it is reached.
#[derive(Clone)]
pub(crate) struct LeaseOf {
    pub(crate) api: Api<Lease>,
    pub(crate) node: String,
    pub(crate) pod_uid: String,
    pub(crate) timings: Timings,
    pub(crate) metrics: Metrics,
}

/// A Lease that was ours when it was written.
#[derive(Debug)]
pub(crate) struct Held {
    lease: Lease,
    /// When the write was sent, on the clock of deadlines.
    sent: u64,
}

/// Why a Lease is held no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It was not renewed in time: what ran is dead.
    Lapsed,
    /// Somebody else holds it.
    Taken { by: String },
    /// It went back in time (P15).
    Restored,
}

/// Longest wait for the answer to one renewal.
const RENEWAL: Duration = Duration::from_secs(2);
/// Between tries, and between looks at the deadline.
const TICK: Duration = Duration::from_secs(1);

// === impl Timings ===

impl Timings {
    /// P10: S + kill time < L · 0.99, so that clocks may differ by a percent in rate.
    pub fn check(&self) -> Result<(), BadTimings> {
        if (self.fence + self.kill).as_secs_f64() >= self.lease.as_secs_f64() * 0.99 {
            return Err(BadTimings::FenceTooLong);
        }
        if self.renew + self.call() >= self.fence {
            return Err(BadTimings::RenewTooSeldom);
        }
        Ok(())
    }

    fn call(&self) -> Duration {
        RENEWAL.min(self.renew)
    }

    fn deadline(&self, sent: u64) -> u64 {
        sent.saturating_add(u64::try_from(self.fence.as_nanos()).unwrap_or(u64::MAX))
    }
}

// === impl Held ===

impl Held {
    /// Until when guests may run because of it.
    pub(crate) fn deadline(&self, timings: &Timings) -> u64 {
        timings.deadline(self.sent)
    }
}

// === impl LeaseOf ===

impl LeaseOf {
    /// Waits until the Lease is ours. A second pod on the same node waits for release, or until the Lease has not changed for
    /// S + kill time by its own clock (P12).
    pub(crate) async fn acquire(&self) -> Held {
        let mut unchanged = Unchanged::default();
        let mut told = String::new();
        loop {
            let why = match self.try_acquire(&mut unchanged).await {
                Ok(Ok(held)) => return held,
                Ok(Err(holder)) => format!("{holder} holds it"),
                Err(error) => chain(&error),
            };
            if told != why {
                info!(why, "waiting for this node's Lease");
                told = why;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// The Lease, or who holds it.
    async fn try_acquire(&self, unchanged: &mut Unchanged) -> Result<Result<Held, String>, CallError> {
        let found = within(RENEWAL, self.api.get_opt(&self.node)).await?;
        let patience = self.timings.fence + self.timings.kill;
        let answer = match claim(found.as_ref(), &self.pod_uid, unchanged, patience, Instant::now()) {
            Claim::Create => self.create().await,
            Claim::Take => self.replace(&found.unwrap_or_default()).await,
            Claim::Wait { holder } => return Ok(Err(holder)),
        };
        match answer {
            Ok(held) => Ok(Ok(held)),
            // Somebody was faster: look again.
            Err(error) if error.code() == Some(409) => Ok(Err("whoever wrote it just now".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Renews the Lease and extends the deadline, until it is lost.
    pub(crate) async fn keep(&self, mut held: Held, deadline: Deadline) -> Lost {
        let mut seen = Seen::default();
        loop {
            if let Some(lost) = self.until_due(&held, &deadline).await {
                return lost;
            }
            match self.renew(&held.lease, &mut seen).await {
                Ok(Ok(renewed)) => {
                    // A Lease that lapsed stays lapsed: others may have been given what ran here. The agent begins anew (P12).
                    if deadline.passed() {
                        return Lost::Lapsed;
                    }
                    deadline.extend_to(renewed.deadline(&self.timings));
                    held = renewed;
                }
                Ok(Err(lost)) => return lost,
                Err(error) => {
                    warn!(error = chain(&error), "failed to renew the Lease; trying again");
                    tokio::time::sleep(TICK.min(self.timings.renew)).await;
                }
            }
        }
    }

    /// Waits for the next renewal's time, with an eye on the deadline: a machine that slept finds it passed.
    async fn until_due(&self, held: &Held, deadline: &Deadline) -> Option<Lost> {
        let due = held.sent.saturating_add(u64::try_from(self.timings.renew.as_nanos()).unwrap_or(u64::MAX));
        loop {
            if deadline.passed() {
                return Some(Lost::Lapsed);
            }
            match due.checked_sub(boottime_nanoseconds()) {
                None | Some(0) => return None,
                Some(left) => tokio::time::sleep(Duration::from_nanos(left).min(TICK)).await,
            }
        }
    }

    async fn renew(&self, lease: &Lease, seen: &mut Seen) -> Result<Result<Held, Lost>, CallError> {
        seen.saw(&lease.metadata);
        match self.replace(lease).await {
            Ok(held) => return Ok(Ok(held)),
            Err(error) if error.code() == Some(404) => return self.create().await.map(Ok),
            Err(error) if error.code() != Some(409) => return Err(error),
            Err(_) => {}
        }
        // Changed by somebody, perhaps by a renewal of ours whose answer was lost.
        let Some(found) = within(self.timings.call(), self.api.get_opt(&self.node)).await? else {
            return self.create().await.map(Ok);
        };
        // P15: asked after something newer was seen.
        if seen.is_older(&found.metadata) {
            return Ok(Err(Lost::Restored));
        }
        match holder(&found) {
            Some(holder) if holder != self.pod_uid => Ok(Err(Lost::Taken { by: holder.to_owned() })),
            _ => self.replace(&found).await.map(Ok),
        }
    }

    /// Gives it up, if it is ours, so that another pod need not wait.
    pub(crate) async fn release(&self) -> Result<(), CallError> {
        loop {
            let Some(mut lease) = within(RENEWAL, self.api.get_opt(&self.node)).await? else { return Ok(()) };
            if holder(&lease) != Some(&self.pod_uid) {
                return Ok(());
            }
            lease.spec.get_or_insert_default().holder_identity = None;
            match within(RENEWAL, self.api.replace(&self.node, &PostParams::default(), &lease)).await {
                // A renewal that was under way came first; there is no other.
                Err(error) if error.code() == Some(409) => {}
                answer => return answer.map(drop),
            }
        }
    }

    async fn create(&self) -> Result<Held, CallError> {
        let now = MicroTime(Timestamp::now());
        let spec = self.spec(LeaseSpec { acquire_time: Some(now), lease_transitions: Some(0), ..LeaseSpec::default() });
        let lease = Lease { metadata: node_meta::of(&self.node), spec: Some(spec) };
        let sent = boottime_nanoseconds();
        let written = within(self.timings.call(), self.api.create(&PostParams::default(), &lease)).await;
        self.held(written, sent)
    }

    /// An update that tests the resourceVersion of what it replaces.
    async fn replace(&self, known: &Lease) -> Result<Held, CallError> {
        let mut spec = known.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.pod_uid) {
            spec.acquire_time = Some(MicroTime(Timestamp::now()));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        // One that has lost its label, or is of an agent that knew none for so long a name, gets it back.
        let metadata = node_meta::labelled(ObjectMeta { managed_fields: None, ..known.metadata.clone() }, &self.node);
        let lease = Lease { metadata, spec: Some(self.spec(spec)) };
        let sent = boottime_nanoseconds();
        let written = within(self.timings.call(), self.api.replace(&self.node, &PostParams::default(), &lease)).await;
        self.held(written, sent)
    }

    fn held(&self, written: Result<Lease, CallError>, sent: u64) -> Result<Held, CallError> {
        self.metrics.wrote("Lease", outcome(&written));
        written.map(|lease| Held { lease, sent })
    }

    fn spec(&self, before: LeaseSpec) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.pod_uid.clone()),
            lease_duration_seconds: Some(i32::try_from(self.timings.lease.as_secs()).unwrap_or(i32::MAX)),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..before
        }
    }
}

/// Who holds it; `None`: nobody.
fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests;
