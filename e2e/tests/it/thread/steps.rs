//! The agent killed at each of its steps: at every write, before the API server sees it and after, and between them while it reads,
//! journals, fetches, runs and publishes. Its journal tells the next process what had started (P12); nothing of it costs a retry (P16).

use std::collections::BTreeSet;
use std::fs;
use std::pin::pin;

use e2e::cluster::{Asked, Fate};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::guests::{inline, sleeps};
use super::kills::what;
use super::stage::{Stage, attempts};

/// Renewals that count as steps; they come for as long as the agent lives.
const RENEWALS: usize = 1;

const ENDS: &str = "PATCH wasmnodes/status ends";

/// What a write of the agent does.
fn does(asked: &Asked) -> String {
    let stage = |wanted: &str| {
        let says = |change: &Value| {
            // A report, or a line that is one.
            let line = change["value"].as_str().and_then(|line| serde_json::from_str::<Value>(line).ok());
            line.as_ref().unwrap_or(&change["value"])["stage"] == wanted
        };
        asked.patches("add", "/status/reports/") && asked.body().as_array().is_some_and(|changes| changes.iter().any(says))
    };
    let words = [(" ends", stage("Ended")), (" runs", stage("Running")), (" forgets", asked.patches("remove", "/status/reports/"))];
    let word = words.into_iter().find(|(_, does)| *does).map_or("", |(word, _)| word);
    format!("{}{word}", what(asked))
}

/// Has no fate for anything but the write of that number, from 0.
fn only(number: usize, fate: Fate) -> impl FnMut(&Asked) -> Fate + Send + 'static {
    let (mut seen, mut renewals) = (0, 0);
    move |asked| {
        renewals += usize::from(does(asked) == "PUT leases");
        if !asked.is_write() || renewals > RENEWALS && does(asked) == "PUT leases" {
            return Fate::Pass;
        }
        seen += 1;
        if seen == number + 1 { fate } else { Fate::Pass }
    }
}

/// Waits until the job has ended well and nothing of it is left: the reasons of its attempts, newest first, without those that never began.
pub(super) async fn ends_well(stage: &Stage<'_>, job: &str, started_before: usize) -> Vec<String> {
    let (reason, status) = stage.ended(job).await;
    assert_eq!(reason, "Completed", "{job}");
    stage.settles().await;
    let began = attempts(&status).into_iter().filter(|(_, reason)| *reason != "Disrupted");
    let began: Vec<String> = began.map(|(_, reason)| reason.to_owned()).collect();
    assert_eq!(stage.started("n1") - started_before, began.len(), "{job}: guests that were started");
    for folder in ["scratch", "cache/work"] {
        let folder = stage.path(&format!("{}-n1", stage.pool)).join(folder);
        let left: Vec<_> = fs::read_dir(&folder).expect("it is there").map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(left, [""; 0], "{job}: {}", folder.display());
    }
    began
}

/// Kills the agent at one write of a node's and a job's life, and so on with the next but one; the others are another's at the same time.
/// What the writes were.
async fn killed_at_every_other_write(name: &str, first: usize, fate: Fate) -> BTreeSet<String> {
    let stage = Stage::new(&format!("{name}-{first}")).await;
    let _operator = stage.operator("a").await;
    let relay = stage.cluster.relay().await.expect("a relay");
    let identity = stage.agent_identity("n1").await;
    let relayed = stage.cluster.through(&identity, "relayed", &relay.server()).expect("a kubeconfig");
    let mut writes = BTreeSet::new();
    for number in (first..).step_by(2) {
        let mut held = relay.rule(only(number, fate));
        let (job, before, ended) = (format!("job-{number}"), stage.started("n1"), stage.ended_in_journal("n1"));
        stage.create(&job, json!({ "module": inline(&sleeps(2)) })).await;
        let agent = stage.agent_as(&relayed);
        let mut life = pin!(ends_well(&stage, &job, before));
        let at = tokio::select! {
            biased;
            at = held.recv() => at.expect("the relay is there"),
            began = &mut life => {
                assert_eq!(began, ["Completed"], "nobody was killed");
                break;
            }
        };
        drop(agent);
        let step = does(&at.asked);
        drop(at);
        // What the API server was told counts, and what the journal was; nobody else knows.
        let is_told = step == ENDS && fate == Fate::HoldAfter || stage.ended_in_journal("n1") > ended;
        let had_started = stage.started("n1") > before;
        let again = stage.agent_as(&identity);
        let expected = if had_started && !is_told { &["Completed", "AgentRestarted"][..] } else { &["Completed"] };
        assert_eq!(life.await, expected, "{fate:?} {step}");
        writes.insert(step);
        // The next one joins anew, so that its first writes are all there are.
        drop(again);
        forget_node(&stage, &identity.pod.node).await;
    }
    writes
}

async fn forget_node(stage: &Stage<'_>, node: &str) {
    stage.nodes().delete(node, &DeleteParams::default()).await.expect("deleted");
    let leases: kube::Api<k8s_openapi::api::coordination::v1::Lease> = kube::Api::namespaced(stage.client.clone(), &stage.pool);
    leases.delete(node, &DeleteParams::default()).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_killed_at_any_of_its_writes_loses_nothing_and_costs_no_retry() {
    let (one, two, three, four) = tokio::join!(
        killed_at_every_other_write("before-report", 0, Fate::HoldBefore),
        killed_at_every_other_write("before-report", 1, Fate::HoldBefore),
        killed_at_every_other_write("after-report", 0, Fate::HoldAfter),
        killed_at_every_other_write("after-report", 1, Fate::HoldAfter),
    );
    let expected = [
        "PATCH wasmnodes/status",
        ENDS,
        "PATCH wasmnodes/status forgets",
        "PATCH wasmnodes/status runs",
        "POST leases",
        "POST wasmnodes",
        "PUT leases",
    ];
    for writes in [&one | &two, &three | &four] {
        assert_eq!(writes.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
