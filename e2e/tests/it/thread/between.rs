//! The agent killed between its writes: while it reads the job, when its journal says that the guest starts, while it fetches, runs and
//! publishes. What it was at when it died is what the next one reports, and one result is published.

use std::fs;

use e2e::cluster::{Asked, Fate, Identity, Relay};
use e2e::server::Answer;
use e2e::tap::{Stop, Tap};
use e2e::{Minio, Server};
use serde_json::{Value, json};

use super::guests::{MAKES, inline, the_word};
use super::stage::{Stage, attempts};
use super::steps::ends_well;
use crate::processes::{busiest, is_alive};

const BUCKET: &str = "data";

/// When the agent is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reads,
    Journals,
    Fetches,
    Runs,
    Publishes(&'static str, Stop),
}

/// A node's agent behind a relay, with a store behind a tap.
struct Place<'a> {
    stage: &'a Stage<'a>,
    relay: Relay,
    identity: Identity,
    server: Server,
    minio: &'a Minio,
    tap: Tap,
}

impl Step {
    /// Whether the guest waits for a word: it could have ended before the agent is dead.
    fn waits(self) -> bool {
        matches!(self, Self::Journals | Self::Runs)
    }
}

impl Place<'_> {
    fn spec(&self, job: &str, step: Step) -> Value {
        let module = wat::parse_str(MAKES).expect("a module");
        let prefix = format!("results/{job}/");
        let publish = json!({ "s3": { "bucket": BUCKET, "prefix": prefix, "endpoint": format!("http://{}", self.tap.address()) } });
        let mut spec = json!({ "module": inline(MAKES), "outputs": [{ "name": "outputs", "publish": [publish] }] });
        if step == Step::Fetches {
            let url = self.server.answers("/makes.wasm", vec![Answer::silence(), Answer::bytes(module)]);
            spec["module"] = json!({ "http": { "url": url } });
        }
        if step.waits() {
            spec["stdin"] = the_word();
        }
        spec
    }

    /// Starts an agent and a job, and returns when that step is reached and the agent is dead.
    async fn killed_at(&self, job: &str, step: Step) {
        if step.waits() {
            self.stage.word("wait").await;
        }
        let reads = move |asked: &Asked| step == Step::Reads && asked.what() == "GET wasmjobs";
        let mut read = self.relay.rule(move |asked| if reads(asked) { Fate::HoldBefore } else { Fate::Pass });
        let mut stopped = match step {
            Step::Publishes(bytes, place) => self.tap.stop_at(bytes, place),
            _ => self.tap.stop_at("nobody says so", Stop::Before),
        };
        let before = self.stage.started("n1");
        let agent = self.stage.agent_as(&self.identity);
        self.stage.create(job, self.spec(job, step)).await;
        let mut guest = None;
        match step {
            Step::Reads => drop(read.recv().await.expect("the relay is there")),
            Step::Journals => self.stage.until("it starts", async || (self.stage.started("n1") > before).then_some(())).await,
            Step::Fetches => self.stage.until("it fetches", async || (self.server.count("/makes.wasm") > 0).then_some(())).await,
            Step::Runs => guest = Some(self.stage.until("the guest is at work", async || busiest(agent.id()).await).await),
            Step::Publishes(..) => stopped.recv().await.expect("the tap is there"),
        }
        drop(agent);
        if let Some(guest) = guest {
            self.stage.until("its guests die with it", async || (!is_alive(guest)).then_some(())).await;
        }
        if step.waits() {
            self.stage.word("go").await;
        }
        drop(self.relay.rule(|_| Fate::Pass));
    }

    /// The job's one result, whole.
    async fn result(&self, job: &str) {
        let status = self.stage.status(job).await;
        let attempt = attempts(&status)[0].0;
        let [result] = &status.results[..] else { panic!("{job}: {status:?}") };
        let uri = result.uri.as_deref().expect("it is published");
        let prefix = uri.strip_prefix(&format!("s3://{BUCKET}/")).expect("there");
        assert!(prefix.starts_with(&format!("results/{job}/1-0-{attempt}-")), "{job}: {uri}");
        let keys = self.minio.list(BUCKET).await.expect("listed");
        let of_it: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix(prefix)).collect();
        assert_eq!((result.files, of_it), (1, vec!["exitCode", "made", "manifest.json", "stderr", "stdout"]), "{job}");
    }
}

/// Kills an agent at one step after the other, each in the life of a job of its own.
async fn killed_between(name: &str, minio: &Minio, rows: &[(&str, Step)]) {
    let mut stage = Stage::new(name).await;
    let server = minio.endpoint().trim_start_matches("http://").parse().expect("an address");
    let tap = Tap::start(server).await.expect("a tap");
    let keys = minio.keys();
    let grant = json!([{
        "name": "ours", "namespaces": [stage.namespace], "endpoint": format!("http://{}", tap.address()), "region": e2e::minio::REGION,
        "accessKeyId": keys.access_key, "secretAccessKey": keys.secret_key,
    }]);
    let file = stage.path("s3.yaml");
    fs::write(&file, grant.to_string()).expect("written");
    stage.agent_flags = ["--s3-credentials", file.to_str().expect("text")].map(str::to_owned).to_vec();
    let relay = stage.cluster.relay().await.expect("a relay");
    let identity = stage.agent_identity("n1").await;
    let identity = stage.cluster.through(&identity, "relayed", &relay.server()).expect("a kubeconfig");
    let place = Place { stage: &stage, relay, identity, server: Server::start().expect("it starts"), minio, tap };
    let _operator = stage.operator("a").await;
    for (job, step) in rows {
        let before = stage.started("n1");
        place.killed_at(job, *step).await;
        // Before the guest may start, the journal says that it does; what it does not say did not start.
        let had_started = stage.started("n1") > before;
        assert!(had_started || *step == Step::Reads, "{job}");
        let _again = stage.agent_as(&place.identity);
        let began = ends_well(&stage, job, before).await;
        assert_eq!(began, if had_started { vec!["Completed", "AgentRestarted"] } else { vec!["Completed"] }, "{job}");
        place.result(job).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_killed_between_its_writes_leaves_one_result() {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket(BUCKET).await.expect("created");
    let before = [("reads", Step::Reads), ("journals", Step::Journals), ("fetches", Step::Fetches), ("runs", Step::Runs)];
    let after = [
        ("publishes", Step::Publishes("PUT /data/results/publishes/", Stop::Before)),
        ("uploads", Step::Publishes("PUT /data/results/uploads/", Stop::After)),
        ("finishes", Step::Publishes("/manifest.json", Stop::Before)),
        ("finished", Step::Publishes("/manifest.json", Stop::After)),
    ];
    tokio::join!(killed_between("between-0", &minio, &before), killed_between("between-1", &minio, &after));
}
