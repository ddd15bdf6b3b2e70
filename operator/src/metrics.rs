//! What the operator counts, for `/metrics`. Names end with their unit; nothing is labelled by a job.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// All of it.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    writes: Family<Kind, Counter>,
    failed: Family<Kind, Counter>,
    unreadable: Family<Kind, Counter>,
    phases: Family<Phase, Histogram>,
    pub(crate) jobs: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) placed: Gauge,
    pub(crate) nodes: Gauge,
    pub(crate) ready_nodes: Gauge,
    pub(crate) denied_nodes: Gauge,
    pub(crate) leader: Gauge,
    pub(crate) epoch: Gauge<i64, std::sync::atomic::AtomicI64>,
    pub(crate) decisions: Counter<u64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("wasmjob"),
            writes: Family::default(),
            failed: Family::default(),
            unreadable: Family::default(),
            phases: Family::new_with_constructor(|| Histogram::new(crds::names::phase_buckets())),
            jobs: Gauge::default(),
            waiting: Gauge::default(),
            placed: Gauge::default(),
            nodes: Gauge::default(),
            ready_nodes: Gauge::default(),
            denied_nodes: Gauge::default(),
            leader: Gauge::default(),
            epoch: Gauge::default(),
            decisions: Counter::default(),
        };
        let phases = "How long the phases of jobs took: queue, assign, report";
        metrics.registry.register_with_unit("phase", phases, Unit::Seconds, metrics.phases.clone());
        let registry = metrics.registry.sub_registry_with_prefix("operator");
        registry.register("api_writes", "Writes to the API server, by what they write", metrics.writes.clone());
        registry.register("api_writes_failed", "Writes that did not hold or were refused", metrics.failed.clone());
        registry.register("unreadable_objects", "Times an object could not be read", metrics.unreadable.clone());
        registry.register("jobs", "Jobs in view", metrics.jobs.clone());
        registry.register("jobs_waiting", "Jobs that wait for a node", metrics.waiting.clone());
        registry.register("jobs_placed", "Jobs with an assignment on a node", metrics.placed.clone());
        registry.register("nodes", "WasmNodes", metrics.nodes.clone());
        registry.register("nodes_ready", "WasmNodes that take work", metrics.ready_nodes.clone());
        registry.register("nodes_denied", "WasmNodes of which the API server takes no write", metrics.denied_nodes.clone());
        registry.register("leader", "1 while this process leads", metrics.leader.clone());
        registry.register("epoch", "Epoch of this leader", metrics.epoch.clone());
        registry.register("decisions", "Times that the state was decided upon", metrics.decisions.clone());
        metrics
    }

    /// One write was sent.
    pub(crate) fn write(&self, kind: &str) {
        self.writes.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// One write failed.
    pub(crate) fn failed(&self, kind: &str) {
        self.failed.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// A job was that long in that phase.
    pub(crate) fn phase(&self, phase: &'static str, took: Duration) {
        self.phases.get_or_create(&Phase { phase }).observe(took.as_secs_f64());
    }

    /// One object could not be read.
    pub(crate) fn unreadable(&self, kind: &str) {
        self.unreadable.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// As OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
