//! What /metrics tells. Counts; measures no time of its own: how long phases took, the runner's reports say.

use std::time::Duration;

use crds::report::Durations;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::client::CallError;

/// The agent's metrics. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    writes: Family<WriteLabels, Counter>,
    attempts: Family<ReasonLabels, Counter>,
    running: Gauge,
    batch: Batches,
    terms: Family<WhyLabels, Counter>,
    phases: Phases,
}

#[derive(Clone, Debug)]
struct Batches(Histogram);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabels {
    why: &'static str,
}

#[derive(Clone, Debug)]
struct Phases(Family<PhaseLabels, Histogram>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

impl Default for Phases {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(crds::names::phase_buckets())))
    }
}

impl Default for Batches {
    /// Up to the most reports of one write.
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(1.0, 2.0, 8)))
    }
}

// === impl Metrics ===

impl Metrics {
    /// An answer to a write to the API server.
    pub(crate) fn wrote(&self, kind: &'static str, outcome: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, outcome }).inc();
    }

    /// An attempt that ended.
    pub(crate) fn ended(&self, reason: &str) {
        self.attempts.get_or_create(&ReasonLabels { reason: reason.to_owned() }).inc();
    }

    /// How long an attempt was in the phases that it came through: whether its module and inputs arrived, and whether there were results.
    pub(crate) fn phases(&self, durations: &Durations, arrived: bool, published: bool) {
        let ran = arrived && durations.run_milliseconds + durations.instantiate_microseconds > 0;
        let rows = [
            ("fetch", durations.fetch_milliseconds, arrived),
            ("compile", durations.compile_milliseconds, arrived),
            ("run", durations.run_milliseconds, ran),
            ("publish", durations.publish_milliseconds, ran && published),
        ];
        for (phase, milliseconds, _) in rows.into_iter().filter(|(.., came_through)| *came_through) {
            let took = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
            self.phases.0.get_or_create(&PhaseLabels { phase }).observe(took.as_secs_f64());
        }
    }

    pub(crate) fn running(&self, attempts: usize) {
        self.running.set(i64::try_from(attempts).unwrap_or(i64::MAX));
    }

    /// A status write with so many reports.
    pub(crate) fn batch(&self, reports: usize) {
        self.batch.0.observe(f64::from(u32::try_from(reports).unwrap_or(u32::MAX)));
    }

    /// A term that ended before the agent did.
    pub(crate) fn began_anew(&self, why: &'static str) {
        self.terms.get_or_create(&WhyLabels { why }).inc();
    }

    /// In OpenMetrics' text format.
    pub(crate) fn text(&self) -> String {
        let mut all = Registry::with_prefix("wasmjob");
        let Self { writes, attempts, running, batch, terms, phases } = self.clone();
        all.register_with_unit("phase", "How long the phases of attempts took: fetch, compile, run, publish", Unit::Seconds, phases.0);
        let registry = all.sub_registry_with_prefix("agent");
        registry.register("api_writes", "Writes to the API server, by kind of object and outcome", writes);
        registry.register("attempts_ended", "Attempts that ended, by reason", attempts);
        registry.register("attempts_running", "Attempts that have a slot", running);
        registry.register("report_batch_size", "Reports in one status write", batch.0);
        registry.register("restarts", "Times that the agent dropped everything and began anew, by cause", terms);
        let mut text = String::new();
        encode(&mut text, &all).expect("a text takes every character");
        text
    }
}

/// How a plain write went, in a word.
pub(crate) fn outcome<T>(written: &Result<T, CallError>) -> &'static str {
    match written {
        Ok(_) => "written",
        Err(error) if error.code() == Some(409) => "conflict",
        Err(CallError::Answer(_)) => "failed",
        Err(CallError::NoAnswer(_)) => "unknown",
    }
}

#[cfg(test)]
mod tests;
