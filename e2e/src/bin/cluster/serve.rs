//! What stays in the background: starts everything, says that it is ready, renews tokens, and ends everything when it is told to.
//! When it is killed, the kernel kills what it started.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use e2e::Cluster;
use e2e::cluster::Options;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Wishes;
use super::addresses::Addresses;
use super::state::{Ready, State};
use super::stores::Stores;
use super::workers::Workers;

/// Tokens live an hour.
const RENEW_EVERY: Duration = Duration::from_mins(20);

/// How soon it is noticed that something ended by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn serve(wishes: &Wishes) -> anyhow::Result<()> {
    // Whoever started us may end with their terminal; we do not.
    rustix::process::setsid().context("failed to make a session")?;
    let state = State::new()?;
    let Some(_lock) = state.hold()? else { bail!("it runs already") };
    state.write_id()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no async runtime")?;
    runtime.block_on(async {
        let mut told = signal(SignalKind::terminate()).context("failed to listen for signals")?;
        tokio::select! {
            biased;
            _ = told.recv() => Ok(()),
            started = start(&state, wishes) => stay(started?, told).await,
        }
    })
}

/// All that runs, dropped in this order.
struct Running {
    workers: Workers,
    _stores: Option<Stores>,
    cluster: Cluster,
    _addresses: Addresses,
}

async fn start(state: &State, wishes: &Wishes) -> anyhow::Result<Running> {
    let options = Options { controller_manager: true, scheduler: true, folder: Some(state.run()), ..Options::default() };
    let cluster = Cluster::start(options).await?;
    cluster.install().await?;
    let stores = if wishes.with_stores { Some(Stores::start(cluster.folder()).await?) } else { None };
    let addresses = Addresses::take(&state.network());
    let workers = Workers::start(&cluster, wishes.agents, stores.as_ref(), &addresses).await?;
    let kubeconfig = match &wishes.kubeconfig {
        Some(wanted) => {
            cluster.copy_kubeconfig(wanted)?;
            wanted.clone()
        }
        None => cluster.kubeconfig(),
    };
    let mut lines = vec![told("control plane", cluster.processes()), workers.told(), addresses.told()];
    lines.extend(stores.iter().flat_map(Stores::told));
    lines.push(format!("logs: {}", cluster.folder().display()));
    lines.push(format!("kubectl: {}", Path::new(cluster.kubectl_command()?.get_program()).display()));
    state.write_ready(&Ready { kubeconfig, lines })?;
    Ok(Running { workers, _stores: stores, cluster, _addresses: addresses })
}

/// Names with process ids, in one line.
pub(crate) fn told(what: &str, processes: impl IntoIterator<Item = (impl std::fmt::Display, u32)>) -> String {
    let all: Vec<String> = processes.into_iter().map(|(name, id)| format!("{name} (process {id})")).collect();
    format!("{what}: {}", all.join(", "))
}

async fn stay(mut running: Running, mut told: Signal) -> anyhow::Result<()> {
    let mut renew = tokio::time::interval(RENEW_EVERY);
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = told.recv() => break,
            _ = renew.tick() => running.workers.renew(&running.cluster).await,
            _ = look.tick() => running.workers.keep_running(&running.cluster).await,
        }
    }
    running.workers.stop();
    Ok(())
}
