//! One term: from holding the Lease to losing it, with everything that is known and runs because of it. When it ends early, everything
//! is dropped and the next one begins like a new process (P12, P14, P15).
//!
//! This file waits; `act` carries out decisions, `tell` writes reports.

mod act;
mod tell;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::node::{Assignment, AssignmentReport, NodeResources, Sealed, WasmNode};
use jiff::Timestamp;
use kube::Api;
use runner::lease::Deadline;
use runner::task::Observer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{info, warn};

use crate::agent::Agent;
use crate::attempt::{Asks, Means};
use crate::decide::{Attempt, Attempts, Drain, found, next_look};
use crate::drain::Stop;
use crate::lease::Lost;
use crate::report::{Mirror, Refusals, removals_due};
use crate::seen::Seen;
use crate::watch::Observed;

use self::tell::Doing;

/// Why a term ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// Told to stop, and everything has ended and is reported.
    Drained,
    /// The Lease is held no more.
    Lost(Lost),
    /// The node's object is not there any more. What had ended and may not have been seen goes into the next one (P14).
    Vanished { unseen: Attempts },
    /// Another agent writes the node's status.
    Replaced,
    /// The API server went back in time (P15).
    Restored,
}

/// Everything of one term.
pub(crate) struct Term<'a> {
    agent: &'a Agent,
    means: Arc<Means>,
    deadline: Deadline,
    api: Api<WasmNode>,
    /// The newest spec that was seen.
    entries: BTreeMap<String, Assignment>,
    sealed: BTreeMap<String, Sealed>,
    seen: Seen,
    attempts: Attempts,
    handles: HashMap<String, Handle>,
    tasks: JoinSet<(String, AssignmentReport)>,
    names: HashMap<tokio::task::Id, (String, String)>,
    asking: mpsc::UnboundedSender<Asks>,
    asks: mpsc::UnboundedReceiver<Asks>,
    turns: u64,
    drain: Drain,
    drain_over: Option<Instant>,
    mirror: Mirror,
    /// Of status, in the newest version that was seen. Higher than the mirror's: somebody else wrote, such as the process before this one,
    /// whose request was still on its way.
    sequence: i64,
    refusals: Refusals,
    removing: Option<Instant>,
    doing: Doing,
    /// What is known of the server may not be so.
    doubted: bool,
    /// Requests in a row without an answer.
    unanswered: u32,
}

/// What an attempt can be told.
struct Handle {
    observer: Arc<Observer>,
    admit: Option<oneshot::Sender<()>>,
    abort: AbortHandle,
    /// What is sealed for its run, and under which key that lies.
    sealed: (String, watch::Sender<Option<Sealed>>),
}

/// The loop goes round at least so often: the journal may have become writable, and somebody may watch that it does.
const ROUND: Duration = Duration::from_secs(5);
/// Beyond the grace period: for killing, and for the last reports.
const LAST_REPORTS: Duration = Duration::from_secs(8);

// === impl Term ===

impl<'a> Term<'a> {
    /// Of the first read (P12). `unseen` are reports from before the object was made.
    pub(crate) fn new(agent: &'a Agent, means: Arc<Means>, deadline: Deadline, first: WasmNode, unseen: Attempts) -> Self {
        let (asking, asks) = mpsc::unbounded_channel();
        let status = first.status.as_ref();
        let reports = status.map(|status| &status.reports).cloned().unwrap_or_default();
        let entries = first.spec.assignments.clone();
        let journal = &agent.journal;
        let mut attempts = found(Instant::now(), Timestamp::now(), &entries, &reports, |fence| journal.past(fence));
        for (id, attempt) in &attempts {
            if let Some(report) = attempt.report().filter(|report| !journal.has_ended(&report.fence)) {
                info!(id, reason = report.ended.as_ref().map(|ended| ended.reason.as_str()), "found, and will not be started");
                journal.ended(id, report);
            }
        }
        journal.completed();
        for (id, attempt) in unseen {
            attempts.entry(id).or_insert(attempt);
        }
        let mut seen = Seen::default();
        seen.saw(&first.metadata);
        Self {
            api: Api::namespaced(agent.clients.node.clone(), &agent.config.namespace),
            agent,
            means,
            deadline,
            mirror: Mirror::of(&first),
            sequence: 0,
            entries,
            sealed: first.spec.sealed.clone(),
            seen,
            attempts,
            handles: HashMap::new(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            asking,
            asks,
            turns: 0,
            drain: Drain::No,
            drain_over: None,
            refusals: Refusals::default(),
            removing: None,
            doing: Doing::Nothing,
            doubted: false,
            unanswered: 0,
        }
    }

    /// Works until the term ends. Nothing of it runs on when this returns.
    pub(crate) async fn run(mut self, mut keeper: JoinHandle<Lost>, mut observed: mpsc::Receiver<Observed>, stop: &mut Stop) -> Ending {
        let ending = loop {
            self.agent.health.went_round();
            // P10: from now on others may run what ran here, so nothing that is learned of it counts.
            if self.deadline.passed() {
                break Ending::Lost(Lost::Lapsed);
            }
            let now = Instant::now();
            self.act(now);
            self.tell(now);
            if self.is_drained(now) {
                break Ending::Drained;
            }
            let look = self.next_round(now);
            let ended = tokio::select! {
                lost = &mut keeper => Some(Ending::Lost(lost.unwrap_or(Lost::Lapsed))),
                Some(observed) = observed.recv() => self.observe(observed),
                Some(asks) = self.asks.recv() => { self.asked(asks); None }
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => { self.done(done); None }
                told = self.doing.finish() => self.told(told),
                () = stop.told(), if self.drain == Drain::No => { self.begin_to_drain(); None }
                () = tokio::time::sleep_until(look.into()) => None,
            };
            if let Some(ending) = ended {
                break ending;
            }
            // What has gathered is decided and written together.
            while let Some(done) = self.tasks.try_join_next_with_id() {
                self.done(done);
            }
            while let Ok(asks) = self.asks.try_recv() {
                self.asked(asks);
            }
        };
        keeper.abort();
        self.agent.health.waits();
        self.end_all().await;
        ending
    }

    /// P14, P10: returns when no worker of this term is left.
    async fn end_all(&mut self) {
        self.means.runner.kill_all();
        // What has not begun is left where it stands.
        self.handles.retain(|id, handle| {
            let has_begun = self.attempts.get(id).is_some_and(Attempt::has_begun);
            if !has_begun {
                handle.abort.abort();
            }
            has_begun
        });
        let gone = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.agent.config.timings.kill, gone).await.is_err() {
            warn!(left = self.tasks.len(), "killing takes longer than it may");
        }
        self.tasks.shutdown().await;
    }

    /// What a watch told.
    fn observe(&mut self, observed: Observed) -> Option<Ending> {
        match observed {
            Observed::Node(node) if node.metadata.uid.as_deref() == Some(&self.mirror.uid) => self.saw(*node),
            // Nobody's silence or word but a live GET proves that it is gone.
            Observed::Node(_) | Observed::Absent => self.doubted = true,
        }
        None
    }

    /// The object as it is or was: of a lower version, nothing is taken (P15).
    fn saw(&mut self, node: WasmNode) {
        if self.seen.saw(&node.metadata) {
            self.entries = node.spec.assignments;
            self.sealed = node.spec.sealed;
            for Handle { sealed: (key, told), .. } in self.handles.values() {
                // One that is taken away is of no use to anybody any more; a renewed one is.
                if let Some(sealed) = self.sealed.get(key) {
                    told.send_if_modified(|before| {
                        let is_new = before.as_ref() != Some(sealed);
                        *before = Some(sealed.clone());
                        is_new
                    });
                }
            }
            self.sequence = node.status.map_or(0, |status| status.sequence);
        }
    }

    fn begin_to_drain(&mut self) {
        self.drain = Drain::Waiting;
        self.drain_over = Some(Instant::now() + self.agent.config.drain);
    }

    /// Whether everything has ended and the server knows it, or there is no time left for that.
    fn is_drained(&mut self, now: Instant) -> bool {
        let Some(over) = self.drain_over else { return false };
        if now >= over && self.drain == Drain::Waiting {
            warn!(running = self.tasks.len(), "the grace period is over: ending what runs");
            self.drain = Drain::Over;
            self.act(now);
            self.tell(now);
        }
        let told = self.tasks.is_empty() && !self.doubted && matches!(self.doing, Doing::Nothing) && self.removing.is_none();
        told || now >= over + LAST_REPORTS
    }

    /// When to go round although nothing happens.
    fn next_round(&self, now: Instant) -> Instant {
        let looks = [
            next_look(now, &self.attempts),
            removals_due(self.removing),
            self.refusals.next_try(),
            self.drain_over.filter(|over| *over > now),
            self.drain_over.map(|over| over + LAST_REPORTS),
        ];
        looks.into_iter().flatten().chain([now + ROUND]).min().unwrap_or(now).max(now)
    }

    fn allocatable(&self) -> NodeResources {
        self.agent.allocatable()
    }
}
