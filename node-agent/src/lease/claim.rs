//! Whether a Lease may be taken, decided on what was read of it. Writes nothing.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;

use super::holder;

/// What to do about a Lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Create,
    Take,
    Wait { holder: String },
}

/// Since when a Lease has not changed, by our own clock, and its version since then.
#[derive(Debug, Default)]
pub(super) struct Unchanged(Option<(String, Instant)>);

/// P12: another pod's Lease is waited for until it has not changed for `patience`, by which time its holder has killed everything.
pub(super) fn claim(found: Option<&Lease>, pod_uid: &str, unchanged: &mut Unchanged, patience: Duration, now: Instant) -> Claim {
    let Some(lease) = found else { return Claim::Create };
    let Some(holder) = holder(lease).filter(|holder| *holder != pod_uid) else { return Claim::Take };
    if unchanged.since(lease.metadata.resource_version.as_deref().unwrap_or_default(), now) >= patience {
        return Claim::Take;
    }
    Claim::Wait { holder: holder.to_owned() }
}

// === impl Unchanged ===

impl Unchanged {
    fn since(&mut self, version: &str, now: Instant) -> Duration {
        match &self.0 {
            Some((known, first)) if known == version => now.saturating_duration_since(*first),
            _ => {
                self.0 = Some((version.to_owned(), now));
                Duration::ZERO
            }
        }
    }
}
