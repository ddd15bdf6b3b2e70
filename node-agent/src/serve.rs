//! `/livez`, `/readyz` and `/metrics` over HTTP. Answers nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use runner::lease::boottime_nanoseconds;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// How the agent is, for whoever asks. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// The Lease is held and the node registered.
    ready: AtomicBool,
    /// When the loop that decides went round last; 0 outside of a term.
    round: AtomicU64,
}

/// A loop that has not gone round for so long hangs: it goes round every few seconds.
const HANGS_NANOSECONDS: u64 = 60_000_000_000;

// === impl Health ===

impl Health {
    pub(crate) fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// The loop went round.
    pub(crate) fn went_round(&self) {
        self.0.round.store(boottime_nanoseconds(), Ordering::Relaxed);
    }

    /// There is no loop: the agent waits for its Lease.
    pub(crate) fn waits(&self) {
        self.set_ready(false);
        self.0.round.store(0, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    fn is_alive(&self) -> bool {
        let round = self.0.round.load(Ordering::Relaxed);
        round == 0 || boottime_nanoseconds().saturating_sub(round) < HANGS_NANOSECONDS
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The address is taken, or not ours.
pub(crate) async fn serve(address: SocketAddr, health: Health, metrics: Metrics) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let router = Router::new()
        .route("/livez", get(async |State((health, _)): State<(Health, Metrics)>| answer(health.is_alive(), "alive", "hangs")))
        .route("/readyz", get(async |State((health, _)): State<(Health, Metrics)>| answer(health.is_ready(), "ready", "not registered")))
        .route("/metrics", get(async |State((_, metrics)): State<(Health, Metrics)>| open_metrics(&metrics)))
        .with_state((health, metrics));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}

fn answer(good: bool, yes: &'static str, no: &'static str) -> impl IntoResponse {
    if good { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) }
}

fn open_metrics(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
}
