//! How many requests the API server answered, by its own count (`apiserver_request_total`), for tests and benchmarks that say how
//! much a job costs. Reads no audit log, and measures no time.

use std::collections::BTreeMap;

use super::{Cluster, get};

/// What was asked. Reads are `GET`, `LIST` and `WATCH`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE`, `GET`, `LIST`, `WATCH`, …
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Resource in the plural.
    pub resource: String,
    /// `status`, `token`, …; empty for the object itself.
    pub subresource: String,
    /// HTTP status of the answer.
    pub code: u16,
}

/// Requests by kind, since the API server started or between two counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests(pub BTreeMap<Kind, u64>);

impl Requests {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let after = |(kind, count): (&Kind, &u64)| {
            let more = count.saturating_sub(earlier.0.get(kind).copied().unwrap_or(0));
            (more > 0).then(|| (kind.clone(), more))
        };
        Self(self.0.iter().filter_map(after).collect())
    }

    /// How many of them `chosen` picks.
    pub fn count(&self, chosen: impl Fn(&Kind) -> bool) -> u64 {
        self.0.iter().filter(|(kind, _)| chosen(kind)).map(|(_, count)| count).sum()
    }

    /// Writes that went to etcd: accepted, and of our kinds.
    pub fn writes(&self) -> u64 {
        let writes = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];
        self.count(|kind| kind.group == "wasmjob.dev" && kind.code < 300 && writes.contains(&kind.verb.as_str()))
    }
}

impl Cluster {
    /// Counts of now. Asking costs the API server some milliseconds of its own.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn requests(&self) -> anyhow::Result<Requests> {
        Ok(parsed(&get(&self.client().await?, "/metrics").await?))
    }
}

fn parsed(metrics: &str) -> Requests {
    let mut requests = Requests::default();
    for line in metrics.lines() {
        if let Some((kind, count)) = line.strip_prefix("apiserver_request_total{").and_then(counted) {
            *requests.0.entry(kind).or_default() += count;
        }
    }
    requests
}

/// A sample without its name: `LABEL="VALUE",…} COUNT`. Values of these labels hold no quotes and no commas.
fn counted(sample: &str) -> Option<(Kind, u64)> {
    let (labels, count) = sample.split_once("} ")?;
    let labels: BTreeMap<&str, &str> = labels.split(',').filter_map(|label| label.split_once('=')).collect();
    let value = |name: &str| Some(labels.get(name)?.trim_matches('"').to_owned());
    let kind = Kind {
        verb: value("verb")?,
        group: value("group")?,
        resource: value("resource")?,
        subresource: value("subresource")?,
        code: value("code")?.parse().ok()?,
    };
    // Large counts are written as 1.2e+06.
    let count: f64 = count.trim().parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
    Some((kind, count as u64))
}

#[cfg(test)]
mod tests;
