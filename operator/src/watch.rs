//! Watches → events. One object that cannot be read never stops the others; an object becomes a compact record at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::job::WasmJob;
use crds::names::NODE_LABEL;
use crds::node::WasmNode;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::apply::Asking;
use crate::observe::{Job, LeaseSeen, NodeObject};
use crate::state::Event;

/// How long one watch lasts at most: a connection that died silently is noticed after it (kube's default is 290 seconds).
const WATCH_SECONDS: u32 = 30;

/// Sends the events of a namespace's jobs (`None`: of all jobs) until nobody listens.
pub(crate) async fn jobs(asking: Asking, namespace: Option<Arc<str>>) {
    let client = asking.client.clone();
    let api: Api<DeserializeGuard<WasmJob>> = match &namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut listed = BTreeSet::new();
    // An object by its name, since a deletion of one that cannot be read names nothing else.
    each(watcher(api, config()), asking.events.clone(), |event| match event {
        watcher::Event::Init => {
            listed.clear();
            Some(Event::JobsListing { namespace: namespace.clone() })
        }
        watcher::Event::InitApply(guard) | watcher::Event::Apply(guard) => {
            if let Some(uid) = guard.uid() {
                listed.insert(Arc::from(uid));
            }
            let job = readable(&asking, guard)?;
            Job::observe(&job).ok().map(|job| Event::Job(Box::new(job)))
        }
        watcher::Event::Delete(guard) => guard.uid().map(|uid| Event::JobGone { uid: uid.into() }),
        watcher::Event::InitDone => Some(Event::JobsListed { namespace: namespace.clone(), uids: std::mem::take(&mut listed) }),
    })
    .await;
}

/// Sends the events of the pool's nodes.
pub(crate) async fn nodes(asking: Asking) {
    let api: Api<DeserializeGuard<WasmNode>> = Api::namespaced(asking.client.clone(), &asking.pool);
    let mut listed = BTreeSet::new();
    each(watcher(api, config()), asking.events.clone(), |event| match event {
        watcher::Event::Init => {
            listed.clear();
            Some(Event::NodesListing)
        }
        watcher::Event::InitApply(guard) | watcher::Event::Apply(guard) => {
            let name: Arc<str> = guard.name_any().into();
            listed.insert(name.clone());
            let node = readable(&asking, guard)?;
            NodeObject::observe(&node).ok().map(|object| Event::Node { name, object: Box::new(object) })
        }
        watcher::Event::Delete(guard) => Some(Event::NodeGone { name: guard.name_any().into() }),
        watcher::Event::InitDone => Some(Event::NodesListed { names: std::mem::take(&mut listed) }),
    })
    .await;
}

/// Sends the events of the agents' Leases.
pub(crate) async fn leases(asking: Asking) {
    let api: Api<Lease> = Api::namespaced(asking.client.clone(), &asking.pool);
    let mut listed = BTreeSet::new();
    each(watcher(api, config().labels(NODE_LABEL)), asking.events.clone(), |event| match event {
        watcher::Event::Init => {
            listed.clear();
            None
        }
        watcher::Event::InitApply(lease) | watcher::Event::Apply(lease) => {
            let node: Arc<str> = lease.name_any().into();
            listed.insert(node.clone());
            LeaseSeen::observe(&lease).map(|lease| Event::Lease { node, lease })
        }
        watcher::Event::Delete(lease) => Some(Event::LeaseGone { node: lease.name_any().into() }),
        watcher::Event::InitDone => Some(Event::LeasesListed { nodes: std::mem::take(&mut listed) }),
    })
    .await;
}

/// Sends the names of the cluster's Nodes as they come and go. Of what changes in them, nothing.
pub(crate) async fn kube_nodes(asking: Asking) {
    let api: Api<PartialObjectMeta<Node>> = Api::all(asking.client.clone());
    let (mut names, mut listed) = (BTreeSet::new(), BTreeSet::new());
    each(watcher(api, config()), asking.events.clone(), |event| match event {
        watcher::Event::Init => {
            listed.clear();
            None
        }
        watcher::Event::InitApply(node) => {
            listed.insert(Arc::from(node.name_any()));
            None
        }
        watcher::Event::InitDone => {
            names = std::mem::take(&mut listed);
            Some(Event::KubeNodesListed { names: names.clone() })
        }
        watcher::Event::Apply(node) => {
            let name: Arc<str> = node.name_any().into();
            names.insert(name.clone()).then_some(Event::KubeNode { name })
        }
        watcher::Event::Delete(node) => {
            let name: Arc<str> = node.name_any().into();
            names.remove(&name);
            Some(Event::KubeNodeGone { name })
        }
    })
    .await;
}

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// The object, or a word in the log and the metrics: whoever upgrades the CRD before the operator sees these.
pub(crate) fn readable<K>(asking: &Asking, guard: DeserializeGuard<K>) -> Option<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match guard.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let name = invalid.metadata.name.as_deref().unwrap_or_default();
            let namespace = invalid.metadata.namespace.as_deref().unwrap_or_default();
            let kind = K::kind(&K::DynamicType::default()).into_owned();
            tracing::error!(
                kind,
                namespace,
                name,
                error = invalid.error,
                "an object cannot be read and is left alone; is the CRD newer than the operator?"
            );
            asking.metrics.unreadable(&kind);
            None
        }
    }
}

async fn each<K: DeserializeOwned>(
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    events: mpsc::Sender<Event>,
    mut event_of: impl FnMut(watcher::Event<K>) -> Option<Event>,
) {
    let mut stream = std::pin::pin!(kube::runtime::WatchStreamExt::default_backoff(stream));
    while let Some(item) = stream.next().await {
        match item {
            Ok(item) => {
                if let Some(event) = event_of(item)
                    && events.send(event).await.is_err()
                {
                    return;
                }
            }
            Err(error) => tracing::warn!(error = %error, "a watch broke off and starts again; are rights missing?"),
        }
    }
}
