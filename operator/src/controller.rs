//! The loop that joins the parts: events in, decisions, requests out. The only place that reads the clocks decisions are made by.

#![expect(clippy::disallowed_methods, reason = "the one place that reads the clocks decisions are made by")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail};
use crds::node::WasmNode;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, ResourceExt as _};
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::apply::{self, Adoption, Asking};
use crate::config::Config;
use crate::decide::{decide, next_look};
use crate::leader::Leadership;
use crate::metrics::Metrics;
use crate::serve::{Health, serve};
use crate::sessions::Sessions;
use crate::state::{Event, NodeOutcome, Now, Settings, State};
use crate::watch;

/// Events that wait to be taken in; a watch waits when there are more.
const EVENTS: usize = 4096;
/// Events taken in before the next decision.
const AT_ONCE: usize = 512;

/// Runs until a signal, or until this process must not go on.
///
/// # Errors
/// It lost the lead, cannot reach the API server at the start, or saw what cannot be (P15): start it again.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new());
    let ready = Arc::new(AtomicBool::new(false));
    let health = Health { metrics: metrics.clone(), ready: ready.clone() };
    let serving = tokio::spawn(serve(config.listen, health));
    let client = client(&config).await?;
    let identity = config.identity.clone().map_or_else(random_identity, Ok)?;
    let leadership = Arc::new(Leadership::new(&identity));
    // A stand-by is ready: it waits for the lead.
    ready.store(true, Ordering::Relaxed);
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let pool: Arc<str> = config.namespace.as_str().into();
    let leading = async {
        leadership.take(&client, &pool, &metrics).await;
        lead(&config, &client, &pool, &leadership, &metrics).await
    };
    let ended = tokio::select! {
        ended = leading => ended,
        served = serving => served.context("the server of /readyz ended")?,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if ended.is_ok() && leadership.leads() {
        leadership.release(&client, &pool, &metrics).await?;
    }
    ended
}

async fn lead(
    config: &Config,
    client: &Client,
    pool: &Arc<str>,
    leadership: &Arc<Leadership>,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<()> {
    let (events, mut incoming) = mpsc::channel(EVENTS);
    let (over, mut ends) = mpsc::channel(1);
    let asking = Asking {
        sessions: Arc::new(Sessions::new(config)),
        client: client.clone(),
        pool: pool.clone(),
        leadership: leadership.clone(),
        metrics: metrics.clone(),
        events,
        over,
    };
    let keeper = tokio::spawn(leadership.clone().keep(client.clone(), pool.clone(), metrics.clone()));
    metrics.leader.set(1);
    metrics.epoch.set(leadership.epoch());
    let settings = Settings {
        epoch: leadership.epoch(),
        renew_before: config.renew_before(),
        lost_after: config.node_lost(),
        brake_for: config.brake(),
        gone_after: config.node_gone(),
    };
    let clock = Instant::now();
    let mut state = State::new(settings);
    take_over(&asking, &mut state, clock).await?;
    let served = served(config);
    let mut watches = vec![
        tokio::spawn(watch::leases(asking.clone())),
        tokio::spawn(watch::nodes(asking.clone())),
        // Nothing waits for it: an operator that may not see Nodes forgets none.
        tokio::spawn(watch::kube_nodes(asking.clone())),
    ];
    watches.extend(served.iter().map(|namespace| tokio::spawn(watch::jobs(asking.clone(), namespace.clone()))));
    let looping = async {
        first_lists(&mut state, &mut incoming, served.len(), clock).await?;
        decide_forever(&asking, &mut state, &mut incoming, clock).await
    };
    let ended = tokio::select! {
        ended = looping => ended,
        why = ends.recv() => Err(anyhow::anyhow!(why.unwrap_or_default())),
        why = keeper => Err(anyhow::anyhow!(why.unwrap_or_else(|error| error.to_string()))),
    };
    watches.iter().for_each(tokio::task::JoinHandle::abort);
    metrics.leader.set(0);
    ended
}

/// Our epoch onto every node that is there (P8). One that cannot be patched is set aside and adopted later; one whose patch had no answer
/// is patched until it has, since until then the leader before us may still write there.
async fn take_over(asking: &Asking, state: &mut State, clock: Instant) -> anyhow::Result<()> {
    let nodes: Api<WasmNode> = Api::namespaced(asking.client.clone(), &asking.pool);
    let listed = apply::read(|| async { nodes.list_metadata(&ListParams::default()).await.map(Some) }).await;
    for node in listed.into_iter().flat_map(|listed| listed.items) {
        let name: Arc<str> = node.name_any().into();
        loop {
            match apply::adopt(asking, &name).await {
                Adoption::Done(object) => break state.observe(Event::Node { name, object }, now(clock)),
                Adoption::SetAside => break,
                Adoption::Denied(why) => break observe(state, Event::NodeDenied { node: name, why }, now(clock)),
                Adoption::Again => tokio::time::sleep(apply::LOOK_AGAIN).await,
                Adoption::Over => bail!("another leader took over"),
            }
        }
    }
    if !asking.leadership.holds_live(asking).await {
        bail!("another leader holds the Lease");
    }
    Ok(())
}

/// The namespaces of the jobs; `None` stands for all.
fn served(config: &Config) -> BTreeSet<Option<Arc<str>>> {
    match &config.serve_namespaces[..] {
        [] => BTreeSet::from([None]),
        some => some.iter().map(|namespace| Some(namespace.as_str().into())).collect(),
    }
}

/// Takes in the lists of Leases, nodes and jobs; nothing is decided before (P8).
async fn first_lists(state: &mut State, incoming: &mut mpsc::Receiver<Event>, served: usize, clock: Instant) -> anyhow::Result<()> {
    let (mut jobs, mut nodes, mut leases) = (BTreeSet::new(), false, false);
    while !(jobs.len() == served && nodes && leases) {
        let event = incoming.recv().await.context("the watches ended")?;
        if let Event::JobsListed { namespace, .. } = &event {
            jobs.insert(namespace.clone());
        }
        nodes |= matches!(event, Event::NodesListed { .. });
        leases |= matches!(event, Event::LeasesListed { .. });
        observe(state, event, now(clock));
    }
    state.begin();
    let (jobs, _, placed) = state.counts();
    tracing::info!(jobs, placed, "everything is in view");
    Ok(())
}

async fn decide_forever(asking: &Asking, state: &mut State, incoming: &mut mpsc::Receiver<Event>, clock: Instant) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(AT_ONCE);
    loop {
        for action in decide(state, now(clock)) {
            tracing::trace!(action = ?action, "asking");
            apply::start(asking, action);
        }
        for (phase, took) in state.take_phases() {
            asking.metrics.phase(phase.name(), took);
        }
        gauge(asking, state, now(clock));
        let wait = next_look(state, now(clock));
        if let Ok(0) = tokio::time::timeout(wait, incoming.recv_many(&mut batch, AT_ONCE)).await {
            bail!("the watches ended");
        }
        for event in batch.drain(..) {
            tracing::trace!(event = ?event, "seen");
            observe(state, event, now(clock));
        }
    }
}

/// Takes it in. That a node's writes are not taken is said once, and that they are again.
fn observe(state: &mut State, event: Event, now: Now) {
    match &event {
        Event::NodeDenied { node, why } if state.denial(node).is_none() => {
            tracing::warn!(node = %node, why, "the API server takes no write of this node; it gets no work, and is tried ever less often");
        }
        Event::NodeWritten { node, outcome: NodeOutcome::Written(_) } | Event::Adopted { node, object: Some(_) }
            if state.denial(node).is_some() =>
        {
            tracing::info!(node = %node, "the API server takes writes of this node again");
        }
        _ => {}
    }
    state.observe(event, now);
}

fn gauge(asking: &Asking, state: &State, now: Now) {
    let metrics = &asking.metrics;
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (jobs, waiting, placed) = state.counts();
    metrics.decisions.inc();
    metrics.jobs.set(signed(jobs));
    metrics.waiting.set(signed(waiting));
    metrics.placed.set(signed(placed));
    let (ready, nodes) = state.ready_nodes(now);
    metrics.ready_nodes.set(signed(ready));
    metrics.nodes.set(signed(nodes));
    metrics.denied_nodes.set(signed(state.denied_nodes()));
}

fn now(clock: Instant) -> Now {
    Now { wall: Timestamp::now(), mono: clock.elapsed() }
}

/// A client without kube's own retries, which would hide a partition for minutes: each request here has a deadline, and its second try is a
/// new decision.
async fn client(config: &Config) -> anyhow::Result<Client> {
    // Whoever made a client before has chosen the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut kube_config = match &config.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).with_context(|| format!("failed to read {}", path.display()))?;
            let options = KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(file, &options).await.with_context(|| format!("failed to use {}", path.display()))?
        }
        None => kube::Config::infer().await.context("found no cluster: set --kubeconfig")?,
    };
    kube_config.default_retry = false;
    Client::try_from(kube_config).context("failed to make a client")
}

fn random_identity() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom(&mut bytes, GetRandomFlags::empty()).context("no random numbers")?;
    Ok(format!("operator-{}", hex::encode(bytes)))
}
