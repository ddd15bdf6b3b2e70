//! Reads and writes of one job: its status by tested patches (P4), its deletion when its time is over.

use std::sync::Arc;

use crds::job::WasmJob;
use crds::names::OPERATOR_MANAGER;
use kube::api::PatchParams;
use kube::{Api, ResourceExt as _};

use super::config_map::{self, Made};
use super::{Asking, LOOK_AGAIN, deleted, json_patch, read, request};
use crate::action::StatusWrite;
use crate::observe::Job;
use crate::patch::{self, Failed};
use crate::state::{Event, StatusOutcome};

/// Writes a status against the version it was made from.
pub(super) async fn write(asking: &Asking, write: StatusWrite) -> Option<Event> {
    match config_map::make(asking, &write).await {
        Made::All => {}
        made => return Some(unmade(asking, write, made).await),
    }
    let operations = patch::status(&write);
    let StatusWrite { namespace, name, uid, resource_version, status: _, config_maps: _, live: look } = write;
    let jobs: Api<WasmJob> = Api::namespaced(asking.client.clone(), &namespace);
    if look {
        let found = live(asking, &namespace, &name, &uid).await;
        if found.as_ref().is_none_or(|job| job.resource_version != resource_version) {
            return Some(Event::StatusWritten { uid, outcome: StatusOutcome::Stale(found) });
        }
    }
    asking.metrics.write("wasmjob_status");
    let parameters = PatchParams::apply(OPERATOR_MANAGER);
    let outcome = match request(jobs.patch_subresource("status", &name, &parameters, &json_patch(operations))).await {
        Ok(job) => match Job::observe(&job) {
            Ok(job) => StatusOutcome::Written(Box::new(job)),
            Err(_) => StatusOutcome::Stale(live(asking, &namespace, &name, &uid).await),
        },
        Err(Failed::Gone) => StatusOutcome::Stale(None),
        Err(Failed::Refused(why)) => {
            tracing::error!(job = %format!("{namespace}/{name}"), why, "a status was refused");
            asking.metrics.failed("wasmjob_status");
            StatusOutcome::Refused
        }
        Err(Failed::Denied(why)) => {
            tracing::warn!(job = %format!("{namespace}/{name}"), why, "no status of this job is taken from this operator; trying again, seldom");
            asking.metrics.failed("wasmjob_status");
            StatusOutcome::Denied
        }
        Err(failed) => {
            tracing::debug!(job = %format!("{namespace}/{name}"), failed = %failed, "a status write did not hold");
            asking.metrics.failed("wasmjob_status");
            StatusOutcome::Stale(live(asking, &namespace, &name, &uid).await)
        }
    };
    Some(Event::StatusWritten { uid, outcome })
}

/// What the status tells of is not there, so that it is not written.
async fn unmade(asking: &Asking, write: StatusWrite, made: Made) -> Event {
    let StatusWrite { namespace, name, uid, config_maps, .. } = write;
    let outcome = if let (Made::Refused(why), Some(maps)) = (made, config_maps) {
        tracing::warn!(job = %format!("{namespace}/{name}"), why, "a result could not be published");
        StatusOutcome::Unpublished { fence: maps.fence.clone(), why }
    } else {
        tokio::time::sleep(LOOK_AGAIN).await;
        StatusOutcome::Stale(live(asking, &namespace, &name, &uid).await)
    };
    Event::StatusWritten { uid, outcome }
}

/// The job by a live GET; `None` if it is gone or another object has its name.
pub(super) async fn live(asking: &Asking, namespace: &str, name: &str, uid: &str) -> Option<Box<Job>> {
    let jobs: Api<WasmJob> = Api::namespaced(asking.client.clone(), namespace);
    let found = read(|| jobs.get_opt(name)).await?;
    Job::observe(&found).ok().filter(|job| &*job.uid == uid).map(Box::new)
}

/// Says in the status of a job that has ended that its newest spec was seen. Nothing else of the end changes (P9).
pub(super) async fn follow(asking: &Asking, namespace: Arc<str>, name: Arc<str>, uid: Arc<str>) -> Option<Event> {
    let jobs: Api<WasmJob> = Api::namespaced(asking.client.clone(), &namespace);
    let found = read(|| jobs.get_opt(&name)).await.filter(|job| job.uid().as_deref() == Some(&*uid));
    let Some(found) = found else { return Some(Event::JobRead { uid, job: None }) };
    asking.metrics.write("wasmjob_status");
    let (parameters, patch) = (PatchParams::apply(OPERATOR_MANAGER), json_patch(patch::follow(&found)));
    let job = match request(jobs.patch_subresource("status", &name, &parameters, &patch)).await {
        Ok(job) => Job::observe(&job).ok().map(Box::new),
        Err(_) => live(asking, &namespace, &name, &uid).await,
    };
    Some(Event::JobRead { uid, job })
}

/// Deletes exactly this version of the job: one that somebody has changed in the meantime is looked at again.
pub(super) async fn delete(asking: &Asking, namespace: &str, name: &str, uid: Arc<str>, resource_version: u64) -> Event {
    let jobs: Api<WasmJob> = Api::namespaced(asking.client.clone(), namespace);
    deleted(asking, "wasmjob_delete", &jobs, name, &uid, resource_version).await;
    let job = live(asking, namespace, name, &uid).await;
    Event::JobRead { uid, job }
}
