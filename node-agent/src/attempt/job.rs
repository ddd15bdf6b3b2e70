//! P2: the job by one live GET, and whether it is what the entry means.

use std::time::{Duration, Instant};

use crds::job::WasmJob;
use crds::node::AssignedJob;
use crds::reason::Reason;
use kube::Api;
use runner::failure::Failure;

use super::Means;
use crate::client::{CALL, CallError, chain, within};

/// Between tries of a server that fails.
const PAUSE: Duration = Duration::from_millis(500);

/// The job that the entry means, or `Refused`.
pub(super) async fn read(means: &Means, assigned: &AssignedJob, patience: Duration) -> Result<WasmJob, Failure> {
    let api: Api<WasmJob> = Api::namespaced(means.client.clone(), &assigned.namespace);
    let give_up = Instant::now() + patience;
    loop {
        let answer = {
            let _connection = means.requests.acquire().await;
            within(CALL, api.get_opt(&assigned.name)).await
        };
        match answer {
            Ok(job) => {
                let job = job.ok_or_else(|| refused("the job is gone"))?;
                return match why_not(assigned, &job) {
                    Some(why) => Err(refused(why)),
                    None => Ok(job),
                };
            }
            Err(error) if is_final(&error) || Instant::now() >= give_up => {
                return Err(refused(format!("the job cannot be read: {}", chain(&error))));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Why the job is not what the entry means: never counted, never final.
pub fn why_not(meant: &AssignedJob, job: &WasmJob) -> Option<String> {
    let status = job.status.as_ref();
    let run = status.and_then(|status| status.run).unwrap_or(1);
    if job.metadata.uid.as_deref() != Some(&meant.uid) {
        return Some("another job has its name".to_owned());
    }
    if job.spec.cancel == Some(true) {
        return Some("the job is cancelled".to_owned());
    }
    if job.spec.suspend == Some(true) {
        return Some("the job is suspended".to_owned());
    }
    if run > meant.run {
        return Some(format!("the job is in its run {run}"));
    }
    if run == meant.run && status.is_some_and(crds::status::WasmJobStatus::is_finished) {
        return Some("this run of the job has ended".to_owned());
    }
    // Last: it costs the most.
    (job.spec.run.hash() != meant.spec_hash).then(|| "what the job says to run is not what was assigned".to_owned())
}

/// Answers that another try does not change: an object of another version, rights that are missing.
fn is_final(error: &CallError) -> bool {
    matches!(error, CallError::Answer(kube::Error::SerdeError(_))) || error.code().is_some_and(|code| (400..429).contains(&code))
}

fn refused(why: impl Into<String>) -> Failure {
    Failure::new(Reason::Refused, why)
}

#[cfg(test)]
mod tests;
