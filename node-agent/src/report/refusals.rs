//! What the API server refused, and what is tried instead: halves, then the smallest form, then much later (P13). Pure.
//!
//! A refusal is an answer about what was written (schema, rule, policy, size), not about what it was built on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crds::node::AssignmentReport;

use super::{Batch, Wish};

/// The search for what is refused.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Ids that were refused together, to be tried apart; the last first.
    groups: Vec<Vec<String>>,
    /// A fence whose report was refused alone. Whether anything at all is accepted is tried next: if not, it is not the report's fault.
    suspect: Option<(String, String)>,
    /// Fences whose report goes in its smallest form.
    shrunk: HashSet<String>,
    /// Fences whose smallest form was refused, and when it is tried again: by then a policy may have been put right.
    aside: HashMap<String, Instant>,
    /// Nothing is accepted: until when nothing is sent.
    pause: Option<Instant>,
}

/// How long what is refused for good is left alone. Without another try its job would never end.
const LEFT_ALONE: Duration = Duration::from_mins(1);

// === impl Refusals ===

impl Refusals {
    /// Whether nothing is sent now.
    pub(super) fn pauses(&self, now: Instant) -> bool {
        self.pause.is_some_and(|until| now < until)
    }

    /// Whether the next write is one without reports.
    pub(super) fn wants_probe(&self) -> bool {
        self.suspect.is_some()
    }

    /// When something that is left alone is tried again.
    pub fn next_try(&self) -> Option<Instant> {
        self.aside.values().copied().chain(self.pause).min()
    }

    /// Of the reports that should be written, those of the next write.
    pub(super) fn choose<'a, 'b>(&mut self, mut changed: BTreeMap<&'a str, &'b Wish<'b>>, now: Instant) -> BTreeMap<&'a str, &'b Wish<'b>> {
        self.pause = self.pause.filter(|until| now < *until);
        self.aside.retain(|_, until| now < *until);
        changed.retain(|_, wish| !self.aside.contains_key(&wish.mark().fence));
        while let Some(group) = self.groups.pop() {
            let chosen: BTreeMap<_, _> =
                changed.iter().filter(|(id, _)| group.iter().any(|one| one == *id)).map(|(id, wish)| (*id, *wish)).collect();
            if !chosen.is_empty() {
                return chosen;
            }
        }
        changed
    }

    /// The report in the form in which it is sent.
    pub(super) fn as_it_goes(&self, report: AssignmentReport) -> AssignmentReport {
        if !self.shrunk.contains(&report.fence) {
            return report;
        }
        AssignmentReport { ended: report.ended.map(|ended| ended.shrunk()), ..report }
    }

    /// The batch was refused.
    pub fn refused(&mut self, batch: &Batch, now: Instant) {
        match batch.reports.as_slice() {
            [] => {
                self.suspect = None;
                self.pause = Some(now + LEFT_ALONE);
            }
            [(_, report)] if self.shrunk.contains(&report.fence) => {
                self.aside.insert(report.fence.clone(), now + LEFT_ALONE);
            }
            [(id, report)] => self.suspect = Some((id.clone(), report.fence.clone())),
            many => {
                let (first, second) = many.split_at(many.len() / 2);
                let ids = |half: &[(String, AssignmentReport)]| half.iter().map(|(id, _)| id.clone()).collect();
                self.groups.push(ids(second));
                self.groups.push(ids(first));
            }
        }
    }

    /// The batch was written.
    pub fn accepted(&mut self, batch: &Batch) {
        if let Some((id, fence)) = self.suspect.take_if(|_| batch.reports.is_empty()) {
            self.shrunk.insert(fence);
            self.groups.push(vec![id]);
        }
        for (_, report) in &batch.reports {
            self.shrunk.remove(&report.fence);
        }
    }
}
