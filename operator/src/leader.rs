//! Who leads: the Lease, its epoch, and the take-over of what an earlier leader held (P8).
//!
//! Safety never depends on the Lease alone: a former leader's writes fail at the epoch that the next one wrote onto every node.

#![expect(clippy::disallowed_methods, reason = "a Lease is kept by the clock; no decision about jobs is made here")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use crds::names::{EPOCH_ANNOTATION, OPERATOR_LEASE, OPERATOR_MANAGER};
use crds::node::WasmNode;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{ListParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt as _};

use crate::apply::{Asking, read};
use crate::metrics::Metrics;

/// A Lease that was not renewed for so long is free.
const DURATION: Duration = Duration::from_secs(15);
/// How often the holder renews it, and how often the others look.
const RENEW_EVERY: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A holder that could not renew for so long stops: sooner than anybody else may take over.
const RENEW_WITHIN: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(3);

/// This process as a leader.
#[derive(Debug)]
pub(crate) struct Leadership {
    holder: String,
    epoch: AtomicI64,
    leads: AtomicBool,
}

// === impl Leadership ===

impl Leadership {
    pub(crate) fn new(holder: &str) -> Self {
        Self { holder: holder.to_owned(), epoch: AtomicI64::new(0), leads: AtomicBool::new(false) }
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether this process leads, or did when it last looked.
    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Ordering::SeqCst)
    }

    /// A live look: the Lease still names us, with our epoch.
    pub(crate) async fn holds_live(&self, asking: &Asking) -> bool {
        let leases: Api<Lease> = Api::namespaced(asking.client.clone(), &asking.pool);
        let lease = read(|| leases.get_opt(OPERATOR_LEASE)).await;
        lease.is_some_and(|lease| holder(&lease) == self.holder && epoch(&lease) == self.epoch())
    }

    /// Waits until the Lease is ours, and gives this leader its epoch.
    pub(crate) async fn take(&self, client: &Client, pool: &str, metrics: &Metrics) {
        let leases: Api<Lease> = Api::namespaced(client.clone(), pool);
        loop {
            let lease = acquire(&leases, &self.holder, metrics).await;
            // One object that cannot be read stops nothing.
            let nodes: Api<DeserializeGuard<WasmNode>> = Api::namespaced(client.clone(), pool);
            let listed = read(|| async { nodes.list(&ListParams::default()).await.map(Some) }).await;
            let epochs = listed.iter().flat_map(|listed| &listed.items).filter_map(|node| Some(node.0.as_ref().ok()?.spec.epoch));
            let highest = epochs.chain([epoch(&lease)]).max().unwrap_or(0);
            // The epoch is ours when the Lease says so, tested against the version in which it named us.
            match write_epoch(&leases, lease, highest + 1, metrics).await {
                Ok(Some(lease)) => {
                    self.epoch.store(epoch(&lease), Ordering::SeqCst);
                    self.leads.store(true, Ordering::SeqCst);
                    tracing::info!(epoch = self.epoch(), holder = self.holder, "leading");
                    return;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(error = format!("{error:#}"), "failed to write the epoch"),
            }
        }
    }

    /// Renews the Lease until that fails for too long, or somebody else has it; then says why.
    pub(crate) async fn keep(self: Arc<Self>, client: Client, pool: Arc<str>, metrics: Arc<Metrics>) -> String {
        let leases: Api<Lease> = Api::namespaced(client, &pool);
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let sent = Instant::now();
            match self.renew(&leases, &metrics).await {
                Ok(true) => renewed = sent,
                Ok(false) => {
                    self.leads.store(false, Ordering::SeqCst);
                    return "another leader holds the Lease".to_owned();
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "failed to renew the Lease"),
            }
            if renewed.elapsed() > RENEW_WITHIN {
                self.leads.store(false, Ordering::SeqCst);
                return format!("the Lease could not be renewed for {}s", renewed.elapsed().as_secs());
            }
        }
    }

    async fn renew(&self, leases: &Api<Lease>, metrics: &Metrics) -> anyhow::Result<bool> {
        let found = tokio::time::timeout(REQUEST, leases.get(OPERATOR_LEASE)).await.context("no answer")??;
        if holder(&found) != self.holder || epoch(&found) != self.epoch() {
            return Ok(false);
        }
        Ok(replace(leases, renewed(found, &self.holder), metrics).await?.is_some())
    }

    /// Gives the Lease up, so that the next leader need not wait.
    pub(crate) async fn release(&self, client: &Client, pool: &str, metrics: &Metrics) -> anyhow::Result<()> {
        let leases: Api<Lease> = Api::namespaced(client.clone(), pool);
        let mut found = tokio::time::timeout(REQUEST, leases.get(OPERATOR_LEASE)).await.context("no answer")??;
        if holder(&found) == self.holder {
            found.spec.get_or_insert_default().holder_identity = Some(String::new());
            replace(&leases, found, metrics).await?;
        }
        Ok(())
    }
}

/// The Lease, held by us: created, or taken once it is free or was not renewed for its duration by our own clock.
async fn acquire(leases: &Api<Lease>, ours: &str, metrics: &Metrics) -> Lease {
    let mut seen: Option<(String, Instant)> = None;
    loop {
        match tokio::time::timeout(REQUEST, leases.get_opt(OPERATOR_LEASE)).await {
            Ok(Ok(None)) => {
                let metadata = ObjectMeta { name: Some(OPERATOR_LEASE.to_owned()), ..ObjectMeta::default() };
                let lease = renewed(Lease { metadata, ..Lease::default() }, ours);
                metrics.write("lease");
                if let Ok(Ok(created)) = tokio::time::timeout(REQUEST, leases.create(&PostParams::default(), &lease)).await {
                    return created;
                }
            }
            Ok(Ok(Some(lease))) => {
                let version = lease.resource_version().unwrap_or_default();
                let since = match &seen {
                    Some((known, since)) if *known == version => *since,
                    _ => seen.insert((version, Instant::now())).1,
                };
                let free = holder(&lease).is_empty() || holder(&lease) == ours || since.elapsed() >= DURATION;
                if free {
                    match replace(leases, renewed(lease, ours), metrics).await {
                        Ok(Some(taken)) => return taken,
                        Ok(None) => {}
                        Err(error) => tracing::warn!(error = format!("{error:#}"), "failed to take the Lease"),
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(error = %error, "failed to read the Lease"),
            Err(_) => tracing::warn!("no answer to a read of the Lease"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn write_epoch(leases: &Api<Lease>, mut lease: Lease, epoch: i64, metrics: &Metrics) -> anyhow::Result<Option<Lease>> {
    lease.annotations_mut().insert(EPOCH_ANNOTATION.to_owned(), epoch.to_string());
    replace(leases, lease, metrics).await
}

/// Replaces this version of the Lease. `None`: another version is there.
async fn replace(leases: &Api<Lease>, mut lease: Lease, metrics: &Metrics) -> anyhow::Result<Option<Lease>> {
    lease.metadata.managed_fields = None;
    metrics.write("lease");
    let parameters = PostParams { field_manager: Some(OPERATOR_MANAGER.to_owned()), ..PostParams::default() };
    match tokio::time::timeout(REQUEST, leases.replace(OPERATOR_LEASE, &parameters, &lease)).await {
        Ok(Ok(lease)) => Ok(Some(lease)),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(None),
        Ok(Err(error)) => Err(error).context("failed to write the Lease"),
        Err(_) => bail!("no answer to a write of the Lease"),
    }
}

fn renewed(mut lease: Lease, ours: &str) -> Lease {
    let changes_hands = holder(&lease) != ours;
    let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
    let now = MicroTime(now());
    spec.holder_identity = Some(ours.to_owned());
    spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
    spec.renew_time = Some(now.clone());
    if changes_hands {
        spec.acquire_time = Some(now);
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
    }
    lease
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

fn epoch(lease: &Lease) -> i64 {
    lease.annotations().get(EPOCH_ANNOTATION).and_then(|epoch| epoch.parse().ok()).unwrap_or(0)
}
