//! Actions → requests to the API server, each with a deadline, and what came of them as events.
//!
//! Decides nothing about jobs. Every write tests what it builds on (P4); after a failed test, or no answer, the object is read live and
//! the decision is made anew (P5).

mod config_map;
mod gone;
mod job;
mod node;
mod secrets;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::action::Action;
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::observe::LeaseSeen;
use crate::patch::Failed;
use crate::sessions::Sessions;
use crate::state::Event;

pub(crate) use self::node::{Adoption, adopt};

/// How long one request may take. A second try is a new decision.
const REQUEST: Duration = Duration::from_secs(5);
/// How long to wait before a live look that got no answer is tried again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What requests are made with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) client: Client,
    /// The pool's namespace: `WasmNode`s and Leases.
    pub(crate) pool: Arc<str>,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: mpsc::Sender<Event>,
    /// Why this process must not go on.
    pub(crate) over: mpsc::Sender<String>,
}

/// Starts the request; its end is an event.
pub(crate) fn start(asking: &Asking, action: Action) {
    let asking = asking.clone();
    tokio::spawn(async move {
        let event = match action {
            Action::WriteNode(write) => node::write(&asking, write).await,
            Action::Adopt { node } => node::adopt(&asking, &node).await.event(&asking, node).await,
            Action::WriteStatus(write) => job::write(&asking, write).await,
            Action::GetJob { namespace, name, uid } => {
                let job = job::live(&asking, &namespace, &name, &uid).await;
                Some(Event::JobRead { uid, job })
            }
            Action::Follow { namespace, name, uid } => job::follow(&asking, namespace, name, uid).await,
            Action::DeleteJob { namespace, name, uid, resource_version } => {
                Some(job::delete(&asking, &namespace, &name, uid, resource_version).await)
            }
            Action::ReadSecrets(read) => {
                let outcome = secrets::read(&asking, &read).await;
                Some(Event::SecretsRead { read, outcome })
            }
            Action::GetLease { node } => {
                let lease = live_lease(&asking, &node).await;
                Some(Event::LeaseRead { node, lease })
            }
            Action::ForgetNode { node, object, lease } => Some(gone::forget(&asking, node, object, lease).await),
            Action::StartAgain { why } => {
                asking.stop(format!("a restored backup? {why}; starting again from a list")).await;
                None
            }
        };
        if let Some(event) = event {
            // Nobody listens only when the process ends.
            let _ = asking.events.send(event).await;
        }
    });
}

/// An agent's Lease by a live GET that is repeated until it is answered (P10).
pub(crate) async fn live_lease(asking: &Asking, node: &str) -> Option<LeaseSeen> {
    let leases: Api<Lease> = Api::namespaced(asking.client.clone(), &asking.pool);
    read(|| leases.get_opt(node)).await.and_then(|lease| LeaseSeen::observe(&lease))
}

/// A live GET, repeated until it is answered. `None`: it is not there.
pub(crate) async fn read<T, F>(get: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = kube::Result<Option<T>>>,
{
    loop {
        match tokio::time::timeout(REQUEST, get()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => tracing::warn!(error = %error, "a live read failed; reading again"),
            Err(_) => tracing::warn!("a live read got no answer; reading again"),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A request with a deadline.
pub(crate) async fn request<T: DeserializeOwned>(asked: impl Future<Output = kube::Result<T>>) -> Result<T, Failed> {
    match tokio::time::timeout(REQUEST, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(Failed::of(&status)),
        Ok(Err(error)) => Err(Failed::Unanswered(error.to_string())),
        Err(_) => Err(Failed::Unanswered(format!("no answer within {REQUEST:?}"))),
    }
}

/// Deletes an object in this version only. Whether it did; `kind` is what metrics call it.
async fn deleted<K>(asking: &Asking, kind: &str, api: &Api<K>, name: &str, uid: &str, version: u64) -> bool
where
    K: Clone + Debug + DeserializeOwned,
{
    let conditions = Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_string()) };
    let parameters = DeleteParams { preconditions: Some(conditions), ..DeleteParams::background() };
    asking.metrics.write(kind);
    let is_deleted = matches!(tokio::time::timeout(REQUEST, api.delete(name, &parameters)).await, Ok(Ok(_)));
    if !is_deleted {
        asking.metrics.failed(kind);
    }
    is_deleted
}

/// A JSON patch from its operations.
pub(crate) fn json_patch(operations: Vec<Value>) -> kube::api::Patch<()> {
    kube::api::Patch::Json(serde_json::from_value(Value::Array(operations)).expect("the operations are JSON patch operations"))
}

// === impl Asking ===

impl Asking {
    /// Ends the process.
    pub(crate) async fn stop(&self, why: String) {
        let _ = self.over.send(why).await;
    }
}
