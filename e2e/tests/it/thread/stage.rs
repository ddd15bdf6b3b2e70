//! A pool with its operator and agents as processes, each with its own bound token, on a real control plane, and a namespace whose jobs
//! they carry out. Asserts nothing about features.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crds::job::WasmJob;
use crds::names::{AGENT_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE};
use crds::node::WasmNode;
use crds::status::WasmJobStatus;
use e2e::Cluster;
use e2e::cluster::{Answered, Identity, Running};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A guard against hangs.
pub(super) const PATIENCE: Duration = Duration::from_mins(3);

/// Lines of each log that are shown when a test fails.
const LAST_WORDS: usize = 60;

/// Timings by which a lost node is found in seconds: S + kill time < L · 0.99 all the same (P10).
const AGENT_TIMINGS: [&str; 8] = ["--renew-seconds", "1", "--fence-seconds", "4", "--kill-seconds", "1", "--lease-seconds", "8"];
const OPERATOR_TIMINGS: [&str; 2] = ["--node-lost-seconds", "8"];

/// A pool and a namespace of jobs.
pub(super) struct Stage<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) client: Client,
    pub(super) pool: String,
    /// The jobs' namespace.
    pub(super) namespace: String,
    /// More flags for every agent.
    pub(super) agent_flags: Vec<String>,
    /// Leases last as long as they do for users, not so that a lost node is found in seconds.
    pub(super) as_users: bool,
    /// More flags for every operator.
    pub(super) operator_flags: Vec<String>,
    /// What is logged, by both.
    pub(super) log: Option<&'static str>,
}

impl Stage<'static> {
    /// On the control plane that all tests share; `name` is the test's own.
    pub(super) async fn new(name: &str) -> Self {
        Stage::on(Cluster::shared().await.expect("a cluster"), name).await
    }
}

impl<'a> Stage<'a> {
    pub(super) async fn on(cluster: &'a Cluster, name: &str) -> Self {
        let (pool, namespace) = (format!("pool-{name}"), format!("jobs-{name}"));
        cluster.create_pool(&pool).await.expect("a pool");
        cluster.create_namespace(&namespace).await.expect("a namespace");
        let client = cluster.client().await.expect("a client");
        Self { cluster, client, pool, namespace, agent_flags: Vec::new(), as_users: false, operator_flags: Vec::new(), log: None }
    }

    /// Starts an operator; `name` tells several apart.
    pub(super) async fn operator(&self, name: &str) -> Running {
        self.operator_as(&self.operator_identity(name).await)
    }

    pub(super) async fn operator_identity(&self, name: &str) -> Identity {
        let node = format!("{}-control", self.pool);
        self.cluster.node(&node).await.expect("a node");
        let identity = format!("{}-{name}", self.pool);
        self.cluster.identity(&identity, SYSTEM_NAMESPACE, OPERATOR_ACCOUNT, &node).await.expect("an identity")
    }

    pub(super) fn operator_as(&self, identity: &Identity) -> Running {
        let mut command = Command::new(e2e::built("wasmjob-operator").expect("it is built"));
        command.env_clear().args(["--namespace", &self.pool, "--serve-namespace", &self.namespace, "--identity", &identity.pod.uid]);
        command.args(["--listen", "127.0.0.1:0", "--log", self.log.unwrap_or("info,operator=trace")]).args(&self.operator_flags);
        command.args(if self.as_users { &[][..] } else { &OPERATOR_TIMINGS });
        command.arg("--kubeconfig").arg(&identity.kubeconfig);
        self.cluster.run(identity.clone(), command).expect("it starts")
    }

    /// Starts an agent on a node of that name and waits until it takes work.
    pub(super) async fn agent(&self, node: &str) -> Running {
        let identity = self.agent_identity(node).await;
        let agent = self.agent_as(&identity);
        self.takes_work(&identity.pod.node).await;
        agent
    }

    /// Of an agent on a node of that name.
    pub(super) async fn agent_identity(&self, node: &str) -> Identity {
        let node = format!("{}-{node}", self.pool);
        self.cluster.node(&node).await.expect("a node");
        self.cluster.identity(&node, &self.pool, AGENT_ACCOUNT, &node).await.expect("an identity")
    }

    pub(super) async fn takes_work(&self, node: &str) {
        self.until("the agent takes work", async || self.is_ready(node).await.then_some(())).await;
    }

    pub(super) fn agent_as(&self, identity: &Identity) -> Running {
        self.cluster.run(identity.clone(), self.agent_command(identity)).expect("it starts")
    }

    pub(super) fn agent_command(&self, identity: &Identity) -> Command {
        let mut command = Command::new(e2e::built("wasmjob-agent").expect("it is built"));
        let node = &identity.pod.node;
        command.env_clear().args(["--namespace", &self.pool, "--node-name", node, "--pod-uid", &identity.pod.uid]);
        command.args(["--allow-private-addresses", "--default-memory", "64Mi", "--log", self.log.unwrap_or("info,node_agent=debug")]);
        command.args(if self.as_users { &[][..] } else { &AGENT_TIMINGS });
        command.args(&self.agent_flags).arg("--kubeconfig").arg(&identity.kubeconfig);
        command.arg("--state-directory").arg(self.path(node));
        command
    }

    /// How many guests the agent of that node ever started, by its journal.
    pub(super) fn started(&self, node: &str) -> usize {
        self.journal(node).into_iter().filter(|record| !record.contains("\"report\"")).count()
    }

    /// How many endings its journal has.
    pub(super) fn ended_in_journal(&self, node: &str) -> usize {
        self.journal(node).into_iter().filter(|record| record.contains("\"report\"")).count()
    }

    fn journal(&self, node: &str) -> Vec<String> {
        let journal = self.path(&format!("{}-{node}", self.pool)).join("journal");
        // Where there is no journal, there was no agent.
        std::fs::read_to_string(journal).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub(super) async fn is_ready(&self, node: &str) -> bool {
        let status = self.nodes().get_opt(node).await.expect("answered").and_then(|node| node.status);
        let conditions = status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// A path of this stage's in the cluster's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.cluster.folder().join(format!("{}-{name}", self.pool))
    }

    pub(super) fn nodes(&self) -> Api<WasmNode> {
        Api::namespaced(self.client.clone(), &self.pool)
    }

    pub(super) fn jobs(&self) -> Api<WasmJob> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) async fn create(&self, name: &str, spec: Value) -> WasmJob {
        let job = serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).expect("a job");
        self.jobs().create(&PostParams::default(), &job).await.expect("created")
    }

    /// What guests that read the word find from now on: `wait`, or that they shall go on. Each attempt reads it when it begins.
    pub(super) async fn word(&self, word: &str) {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "word" }, "data": { "word": word } });
        maps.patch("word", &PatchParams::apply("test").force(), &Patch::Apply(map)).await.expect("written");
    }

    pub(super) async fn edit(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.jobs().patch(name, &PatchParams::default(), &patch).await.expect("written");
    }

    /// Runs kubectl in the jobs' namespace.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Answered {
        self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat()).expect("it runs")
    }

    /// Looks again and again until there is something to see.
    pub(super) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if begun.elapsed() > PATIENCE {
                let jobs = self.kubectl(&["get", "wasmjobs", "-o", "yaml"]).stdout;
                let nodes = self.cluster.kubectl(&["--namespace", &self.pool, "get", "wasmnodes", "-o", "yaml"]).expect("it runs").stdout;
                panic!("{what}: not after {PATIENCE:?}\n{jobs}\n{nodes}\n{}", self.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of what operators and agents of this stage said.
    fn said(&self) -> String {
        let logs = std::fs::read_dir(self.cluster.folder()).expect("it is there").map(|entry| entry.expect("an entry").path());
        let is_ours = |path: &PathBuf| path.extension().is_some_and(|end| end == "log") && path.to_string_lossy().contains(&self.pool);
        let mut said = String::new();
        for path in logs.filter(is_ours) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            said.push_str(&lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n"));
            said.push('\n');
        }
        said
    }

    pub(super) async fn status(&self, name: &str) -> WasmJobStatus {
        // The schema has a default, but in tests that loosen it.
        self.jobs().get(name).await.expect("it is there").status.unwrap_or_default()
    }

    /// Waits until the job has ended: its reason and status.
    pub(super) async fn ended(&self, name: &str) -> (String, WasmJobStatus) {
        let status = self.until(&format!("{name} ends"), async || Some(self.status(name).await).filter(WasmJobStatus::is_finished)).await;
        (reason(&status), status)
    }

    /// Waits until the job's status says so.
    pub(super) async fn says(&self, name: &str, wanted: &str) -> WasmJobStatus {
        let look = async || Some(self.status(name).await).filter(|status| reason(status) == wanted);
        self.until(&format!("{name} is {wanted}"), look).await
    }

    /// Waits until nothing of the protocol is left: no entry, no report (I4).
    pub(super) async fn settles(&self) {
        let empty =
            |node: &WasmNode| node.spec.assignments.is_empty() && node.status.as_ref().is_none_or(|status| status.reports.is_empty());
        let look = async || {
            let nodes = self.nodes().list(&ListParams::default()).await.expect("listed");
            nodes.items.iter().all(empty).then_some(())
        };
        self.until("entries and reports go away", look).await;
    }
}

/// The reason of the Finished condition, which `kubectl get` shows.
pub(super) fn reason(status: &WasmJobStatus) -> String {
    let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished");
    finished.expect("it is always there").reason.clone()
}

/// Reasons of the attempts, newest first.
pub(super) fn attempts(status: &WasmJobStatus) -> Vec<(i32, &str)> {
    status.attempts.iter().map(|attempt| (attempt.attempt, attempt.reason.as_str())).collect()
}

/// Sends the signal to a process of ours.
pub(super) fn signal(running: &Running, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(running.id()).expect("an id")).expect("not 0");
    kill_process(id, signal).expect("it is our child");
}
