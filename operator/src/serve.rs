//! `/livez`, `/readyz` and `/metrics` over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics::Metrics;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    pub(crate) metrics: Arc<Metrics>,
    /// It leads with all lists taken in, or stands by for whoever does.
    pub(crate) ready: Arc<AtomicBool>,
}

/// Serves until the process ends.
pub(crate) async fn serve(address: SocketAddr, health: Health) -> anyhow::Result<()> {
    let router =
        Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready)).route("/metrics", get(metrics)).with_state(health);
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    tracing::info!(address = %listener.local_addr().context("a listener has an address")?, "serving /livez, /readyz and /metrics");
    axum::serve(listener, router).await.context("failed to serve")
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    if health.ready.load(Ordering::Relaxed) { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], health.metrics.text())
}
