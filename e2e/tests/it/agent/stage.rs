//! A pool with one node of its own on the shared control plane, an agent on it as a process with its own bound token, and somebody
//! who writes entries as an operator would. Asserts nothing.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crds::job::WasmJob;
use crds::names::AGENT_ACCOUNT;
use crds::node::{AssignedJob, Assignment, AssignmentReport, Line as _, ReportStage, Sealed, WasmNode, sealed_key};
use e2e::Cluster;
use e2e::cluster::{Identity, Options, Running};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A guard against hangs.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// Where an agent works, and who gives it work.
pub(super) struct Stage {
    pub(super) cluster: ClusterOf,
    pub(super) client: Client,
    /// The pool's namespace, and the jobs'.
    pub(super) namespace: String,
    pub(super) node: String,
    pub(super) state: TempDir,
    fences: u64,
}

/// Whose control plane it is.
pub(super) enum ClusterOf {
    All(&'static Cluster),
    Test(Box<Cluster>),
}

impl Deref for ClusterOf {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        match self {
            Self::All(cluster) => cluster,
            Self::Test(cluster) => cluster,
        }
    }
}

impl Stage {
    /// `name` is the pool's and the node's; each test has its own.
    pub(super) async fn new(name: &str) -> Self {
        Self::on(ClusterOf::All(Cluster::shared().await.expect("a cluster")), name).await
    }

    /// On a control plane of the test's own, to which things may happen.
    pub(super) async fn alone(name: &str) -> Self {
        let cluster = Cluster::start(Options { fsync: false, ..Options::default() }).await.expect("a cluster");
        cluster.install().await.expect("installed");
        Self::on(ClusterOf::Test(Box::new(cluster)), name).await
    }

    /// The test's own control plane.
    pub(super) fn own(&mut self) -> &mut Cluster {
        match &mut self.cluster {
            ClusterOf::All(_) => panic!("nothing may happen to the control plane of all tests"),
            ClusterOf::Test(cluster) => cluster,
        }
    }

    async fn on(cluster: ClusterOf, name: &str) -> Self {
        let namespace = format!("agent-{name}");
        cluster.create_pool(&namespace).await.expect("a pool");
        cluster.node(&namespace).await.expect("a node");
        let state = tempfile::tempdir().expect("a folder");
        let client = cluster.client().await.expect("a client");
        Self { cluster, client, node: namespace.clone(), namespace, state, fences: 0 }
    }

    /// A pod on the node, of which an agent calls itself.
    pub(super) async fn identity(&self, name: &str) -> Identity {
        let name = format!("{}-{name}", self.namespace);
        self.cluster.identity(&name, &self.namespace, AGENT_ACCOUNT, &self.node).await.expect("an identity")
    }

    /// Starts an agent with that identity; two with one state directory wait for each other.
    pub(super) fn start(&self, identity: &Identity, flags: &[&str]) -> Running {
        self.start_in(self.state.path(), identity, flags)
    }

    pub(super) fn start_in(&self, state: &Path, identity: &Identity, flags: &[&str]) -> Running {
        let mut command = Command::new(e2e::built("wasmjob-agent").expect("it is built"));
        command.env_clear().args(["--node-name", &self.node, "--namespace", &self.namespace, "--pod-uid", &identity.pod.uid]);
        command.arg("--kubeconfig").arg(&identity.kubeconfig).arg("--state-directory").arg(state);
        if !flags.contains(&"--allow-network") {
            command.arg("--allow-private-addresses");
        }
        command.args(["--default-memory", "64Mi", "--log", "info,node_agent=debug"]).args(flags);
        self.cluster.run(identity.clone(), command).expect("it starts")
    }

    pub(super) fn nodes(&self) -> Api<WasmNode> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) async fn node(&self) -> Option<WasmNode> {
        self.nodes().get_opt(&self.node).await.expect("answered")
    }

    pub(super) async fn lease(&self) -> Option<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace).get_opt(&self.node).await.expect("answered")
    }

    /// Waits until the agent takes work, and returns the object in which it says so.
    pub(super) async fn ready(&self) -> WasmNode {
        self.until("the agent takes work", async || self.node().await.filter(|node| ready_status(node) == Some("True"))).await
    }

    /// Looks again and again until there is something to see.
    pub(super) async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {:#?}", self.node().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn create_job(&self, name: &str, spec: Value) -> WasmJob {
        let job = json!({ "metadata": { "name": name }, "spec": spec });
        let job = serde_json::from_value(job).expect("a job");
        let jobs: Api<WasmJob> = Api::namespaced(self.client.clone(), &self.namespace);
        jobs.create(&PostParams::default(), &job).await.expect("created")
    }

    /// The entry that an operator would make of the job, with a fence of its own.
    pub(super) fn entry_of(&mut self, job: &WasmJob, attempt: i32) -> (String, Assignment) {
        self.fences += 1;
        let uid = job.metadata.uid.clone().expect("it has a UID");
        let id = crds::node::assignment_id(&uid, 1, 0, attempt);
        let job = AssignedJob {
            namespace: self.namespace.clone(),
            name: job.metadata.name.clone().expect("it has a name"),
            uid,
            run: 1,
            generation: job.metadata.generation.unwrap_or(1),
            spec_hash: job.spec.run.hash(),
        };
        let fence = format!("{:032x}", u128::from(self.fences) << 64 | u128::from(std::process::id()));
        (id, Assignment { job, attempt, fence, indexes: "0".to_owned(), cancel: false, read_as: None })
    }

    /// Writes entries as the operator does: tested, the sequence raised.
    pub(super) async fn assign(&self, entries: &[(String, Assignment)]) {
        let operations =
            entries.iter().map(|(id, entry)| json!({ "op": "add", "path": format!("/spec/assignments/{id}"), "value": entry.line() }));
        self.patch_spec(operations.collect()).await;
    }

    /// One entry with what is sealed for its run, in one write.
    pub(super) async fn assign_sealed(&self, (id, entry): (&str, &Assignment), sealed: Option<&Sealed>) {
        let mut changes = vec![json!({ "op": "add", "path": format!("/spec/assignments/{id}"), "value": entry.line() })];
        let key = sealed_key(&entry.job.uid, entry.job.run);
        changes.extend(sealed.map(|sealed| json!({ "op": "add", "path": format!("/spec/sealed/{key}"), "value": sealed.line() })));
        self.patch_spec(changes).await;
    }

    pub(super) async fn cancel(&self, id: &str) {
        let node = self.node().await.expect("it is there");
        let line = crds::node::cancelled(&node.spec.assignments[id].line());
        self.patch_spec(vec![json!({ "op": "replace", "path": format!("/spec/assignments/{id}"), "value": line })]).await;
    }

    pub(super) async fn release(&self, id: &str) {
        self.patch_spec(vec![json!({ "op": "remove", "path": format!("/spec/assignments/{id}") })]).await;
    }

    async fn patch_spec(&self, changes: Vec<Value>) {
        let node = self.node().await.expect("it is there");
        let mut operations = vec![
            json!({ "op": "test", "path": "/metadata/uid", "value": node.metadata.uid }),
            json!({ "op": "test", "path": "/spec/epoch", "value": node.spec.epoch }),
            json!({ "op": "test", "path": "/spec/sequence", "value": node.spec.sequence }),
            json!({ "op": "replace", "path": "/spec/sequence", "value": node.spec.sequence + 1 }),
        ];
        operations.extend(changes);
        let patch = serde_json::from_value(Value::Array(operations)).expect("a patch");
        self.nodes().patch(&self.node, &PatchParams::default(), &Patch::Json::<()>(patch)).await.expect("written");
    }

    /// One job, assigned at once. Its entry's id.
    pub(super) async fn run(&mut self, name: &str, spec: Value) -> String {
        let job = self.create_job(name, spec).await;
        let (id, entry) = self.entry_of(&job, 1);
        self.assign(&[(id.clone(), entry)]).await;
        id
    }

    pub(super) async fn report(&self, id: &str) -> Option<AssignmentReport> {
        self.node().await?.status?.reports.remove(id)
    }

    /// Waits for the report of an ending: its reason, and the report.
    pub(super) async fn ended(&self, id: &str) -> (String, AssignmentReport) {
        let report =
            self.until(&format!("{id} ends"), async || self.report(id).await.filter(|report| report.stage == ReportStage::Ended)).await;
        (report.ended.as_ref().expect("it has ended").reason.clone(), report)
    }

    /// Waits until the guest runs for longer than a second.
    pub(super) async fn running(&self, id: &str) {
        self.until(&format!("{id} runs"), async || self.report(id).await.filter(|report| report.stage == ReportStage::Running)).await;
    }

    /// Waits until the report is gone.
    pub(super) async fn forgotten(&self, id: &str) {
        self.until(&format!("the report of {id} goes"), async || self.report(id).await.is_none().then_some(())).await;
    }
}

pub(super) fn ready_status(node: &WasmNode) -> Option<&str> {
    let conditions = &node.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.as_str())
}

/// A module written as text, as an inline source.
pub(super) fn inline(wat: &str) -> Value {
    json!({ "inline": BASE64.encode(wat::parse_str(wat).expect("the module is a module")) })
}

/// Prints hello.
pub(super) const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))"#;

/// Prints what it reads on stdin, and then its variables.
pub(super) const ECHO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 1024))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $sizes (i32.const 12) (i32.const 4)))
    (drop (call $environ (i32.const 1024) (i32.const 65536)))
    (i32.store (i32.const 0) (i32.const 65536))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Never ends.
pub(super) const ENDLESS: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))"#;
