//! Jobs as a user makes them, their ends as a user's watch sees them, and the same writes done bare.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crds::job::WasmJob;
use crds::node::WasmNode;
use e2e::bench::milliseconds;
use e2e::{Answer, Server};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Mutex, oneshot};

use super::pool::{BARE, Pool, SERVED};

/// A guard against hangs.
const WITHIN: Duration = Duration::from_mins(3);

/// Of the agent: its default.
const SLOTS: usize = 64;

/// Returns at once.
const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
/// Sleeps for an hour in `poll_oneoff`, on the monotonic clock (tag 0 at 8, clock 1 at 16, nanoseconds at 24), and takes no processor.
const ASLEEP: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#;

pub(super) struct Jobs {
    client: Client,
    number: AtomicUsize,
    nothing: Value,
    ends: Arc<Ends>,
    server: Server,
}

/// Who waits for which job.
type Ends = Mutex<HashMap<String, oneshot::Sender<()>>>;

impl Jobs {
    pub(super) fn new(pool: &Pool) -> Self {
        let ends: Arc<Ends> = Arc::default();
        let module = wat::parse_str(NOTHING).unwrap_or_default();
        tokio::spawn(Self::watch(Api::namespaced(pool.client().clone(), SERVED), ends.clone()));
        let server = Server::start().unwrap_or_else(|error| unreachable!("a loopback port is free: {error}"));
        Self {
            client: pool.client().clone(),
            number: AtomicUsize::new(0),
            nothing: json!({ "inline": BASE64.encode(module) }),
            ends,
            server,
        }
    }

    fn api(&self, namespace: &str) -> Api<WasmJob> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn name(&self) -> String {
        format!("job-{}", self.number.fetch_add(1, Ordering::Relaxed))
    }

    fn job(name: &str, module: &Value) -> anyhow::Result<WasmJob> {
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": { "module": module } })).context("it is a job")
    }

    /// Tells of ends by one watch, as a user's controller or `kubectl get -w` has it, for as long as the benchmark runs.
    async fn watch(jobs: Api<WasmJob>, ends: Arc<Ends>) {
        let mut events = std::pin::pin!(kube::runtime::watcher(jobs, kube::runtime::watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(kube::runtime::watcher::Event::Apply(job)) = event
                && job.status.as_ref().is_some_and(crds::status::WasmJobStatus::is_finished)
                && let Some(name) = job.metadata.name
                && let Some(waiting) = ends.lock().await.remove(&name)
            {
                let _ = waiting.send(());
            }
        }
    }

    async fn end_of(&self, name: &str, module: &Value) -> anyhow::Result<f64> {
        let (sender, receiver) = oneshot::channel();
        self.ends.lock().await.insert(name.to_owned(), sender);
        let begun = Instant::now();
        self.api(SERVED).create(&PostParams::default(), &Self::job(name, module)?).await.context("failed to create a job")?;
        tokio::time::timeout(WITHIN, receiver).await.context("a job does not end")?.context("the watch ended")?;
        Ok(milliseconds(begun.elapsed()))
    }

    /// One job: milliseconds from before its creation until a watch sees its end.
    pub(super) async fn one(&self) -> anyhow::Result<f64> {
        self.end_of(&self.name(), &self.nothing).await
    }

    /// As `one`, with a module that nobody has seen: another custom section.
    pub(super) async fn cold(&self) -> anyhow::Result<f64> {
        let mut module = std::fs::read(super::super::checkout("examples/echo/echo.wasm")).context("the example is there")?;
        let name = self.name();
        let length = u8::try_from(name.len()).context("a name is short")?;
        module.extend([0, length + 1, length]);
        module.extend(name.as_bytes());
        let url = self.server.answer(&format!("/{name}.wasm"), Answer::bytes(module));
        let source = json!({ "http": { "url": url } });
        self.end_of(&name, &source).await
    }

    /// So many jobs, with so many under way at any time.
    pub(super) async fn run(&self, count: u32, in_flight: usize) -> anyhow::Result<()> {
        let all = stream::iter(0..count).map(|_| async { self.end_of(&self.name(), &self.nothing).await });
        all.buffer_unordered(in_flight).try_for_each(|_| async { Ok(()) }).await?;
        // What accumulates would make every list dearer.
        self.api(SERVED).delete_collection(&DeleteParams::default(), &ListParams::default()).await.context("failed to delete the jobs")?;
        Ok(())
    }

    /// The creation of a job and one write of its status, nothing else; what bounds any design.
    pub(super) async fn bare(&self, count: u32, in_flight: usize) -> anyhow::Result<()> {
        let all = stream::iter(0..count).map(|_| async {
            let name = self.name();
            self.api(BARE).create(&PostParams::default(), &Self::job(&name, &self.nothing)?).await?;
            self.write_status(&name).await
        });
        all.buffer_unordered(in_flight).try_for_each(|()| async { Ok(()) }).await?;
        self.api(BARE).delete_collection(&DeleteParams::default(), &ListParams::default()).await.context("failed to delete the jobs")?;
        Ok(())
    }

    async fn write_status(&self, name: &str) -> anyhow::Result<()> {
        let done = |type_: &str| json!({ "type": type_, "status": "True", "reason": "Completed", "message": "ended after 2ms", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1 });
        let status = json!({
            "observedGeneration": 1, "run": 1, "runGeneration": 1, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:00Z",
            "active": 0, "succeeded": 1, "failed": 0, "completionsText": "1/1", "durationText": "2ms",
            "output": { "exitCode": 0, "stdoutTail": "", "stderrTail": "", "truncated": false },
            "conditions": [done("Finished"), done("Complete"), done("Ready")],
        });
        let patch = serde_json::from_value(json!([{ "op": "add", "path": "/status", "value": status }]))?;
        self.api(BARE).patch_subresource("status", name, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
        Ok(())
    }

    /// The four writes of a job one after the other: created, assigned, reported, ended.
    pub(super) async fn four_writes(&self) -> anyhow::Result<f64> {
        let nodes: Api<WasmNode> = Api::namespaced(self.client.clone(), BARE);
        if nodes.get_opt("bare").await?.is_none() {
            let node = serde_json::from_value(json!({ "metadata": { "name": "bare" }, "spec": {} }))?;
            nodes.create(&PostParams::default(), &node).await?;
        }
        let name = self.name();
        let begun = Instant::now();
        let job = self.api(BARE).create(&PostParams::default(), &Self::job(&name, &self.nothing)?).await?;
        let uid = job.metadata.uid.context("the API server gives one")?;
        let id = crds::node::assignment_id(&uid, 1, 0, 1);
        let entry = json!({
            "job": { "namespace": BARE, "name": name, "uid": uid, "run": 1, "generation": 1, "specHash": "0".repeat(64) },
            "attempt": 1, "fence": "0".repeat(32), "indexes": "0",
        });
        let assign = json!([{ "op": "add", "path": "/spec/assignments", "value": { &id: entry.to_string() } }]);
        nodes.patch("bare", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(assign)?)).await?;
        let ended = json!({ "reason": "Completed", "finishTime": "2026-01-01T00:00:00Z", "output": { "exitCode": 0, "stdoutTail": "", "stderrTail": "", "truncated": false } });
        let report = json!({ "fence": "0".repeat(32), "stage": "Ended", "ended": ended }).to_string();
        let report = json!([{ "op": "add", "path": "/status/reports", "value": { &id: report } }]);
        nodes.patch_subresource("status", "bare", &PatchParams::default(), &Patch::Json::<()>(serde_json::from_value(report)?)).await?;
        self.write_status(&name).await?;
        Ok(milliseconds(begun.elapsed()))
    }

    /// Fills every slot for good, and puts so many jobs behind.
    pub(super) async fn queue(&self, count: u32) -> anyhow::Result<()> {
        let asleep = json!({ "inline": BASE64.encode(wat::parse_str(ASLEEP).context("the guest is WebAssembly")?) });
        for number in 0..SLOTS {
            let job = Self::job(&format!("asleep-{number}"), &asleep)?;
            self.api(SERVED).create(&PostParams::default(), &job).await?;
        }
        let all = stream::iter(0..count).map(|_| async {
            self.api(SERVED).create(&PostParams::default(), &Self::job(&self.name(), &self.nothing)?).await?;
            anyhow::Ok(())
        });
        all.buffer_unordered(16).try_for_each(|()| async { Ok(()) }).await?;
        // Until the operator has seen the last of them.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let listed = self.api(SERVED).list_metadata(&ListParams::default()).await?.items.len();
        if listed < usize::try_from(count).unwrap_or(usize::MAX) {
            bail!("{listed} jobs are there, {count} were created");
        }
        Ok(())
    }
}
