//! One object by its name, as it changes: a watch that costs the API server nothing when others change. Decides nothing.

use std::time::Duration;

use crds::node::WasmNode;
use futures_util::StreamExt as _;
use kube::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::client::chain;

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Observed {
    Node(Box<WasmNode>),
    /// It is not there; a live GET may know better.
    Absent,
}

/// Seconds after which the server ends a watch. A silent one is begun anew soon after: partitions tell nobody.
const WATCH_SECONDS: u32 = 25;
/// Between a watch that failed and the next.
const PAUSE: Duration = Duration::from_millis(500);

/// Watches until nobody listens any more.
pub(crate) async fn watch(api: Api<DeserializeGuard<WasmNode>>, node: String, listener: mpsc::Sender<Observed>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={node}")).timeout(WATCH_SECONDS);
    let mut events = std::pin::pin!(watcher::watcher(api, config));
    let mut is_there = false;
    while let Some(event) = events.next().await {
        let observed = match event {
            Ok(Event::Init) => {
                is_there = false;
                continue;
            }
            Ok(Event::InitApply(guard) | Event::Apply(guard)) => {
                is_there = true;
                readable(guard)
            }
            Ok(Event::InitDone) if is_there => continue,
            Ok(Event::InitDone | Event::Delete(_)) => Some(Observed::Absent),
            Err(error) => {
                debug!(error = chain(&error), "the watch of this node's WasmNode broke off; beginning it anew");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Some(observed) = observed
            && listener.send(observed).await.is_err()
        {
            return;
        }
    }
}

/// One that this version cannot read changes nothing of what is known.
fn readable(DeserializeGuard(node): DeserializeGuard<WasmNode>) -> Option<Observed> {
    match node {
        Ok(node) => Some(Observed::Node(Box::new(node))),
        Err(error) => {
            warn!(error = error.error, "this node's WasmNode cannot be read: upgrade this agent, or correct the object");
            None
        }
    }
}
