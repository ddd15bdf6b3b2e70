//! The agent on a real API server, its entries written by hand as an operator would: what runs, what is refused, what ConfigMaps
//! become. What survives faults is in `agent/faults.rs`, what the API server refuses in `agent/writes.rs`.

mod faults;
mod sealed;
mod sources;
mod stage;
mod writes;

use crds::job::WasmJob;
use crds::node::Assignment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use self::stage::{ECHO, ENDLESS, HELLO, Stage, inline};

/// P1, P6, P7: an entry runs, its report stays until the entry is gone, and nothing is written that says nothing.
#[tokio::test]
async fn an_entry_is_run_reported_and_forgotten() {
    let mut stage = Stage::new("runs").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &[]);
    let node = stage.ready().await;
    let status = node.status.expect("it wrote one");
    assert_eq!((status.agent.as_str(), status.reports.len()), (identity.pod.uid.as_str(), 0));
    assert_eq!(stage.lease().await.and_then(|lease| lease.spec?.holder_identity), Some(identity.pod.uid.clone()));

    let id = stage.run("hello", json!({ "module": inline(HELLO) })).await;
    let (reason, report) = stage.ended(&id).await;
    let ended = report.ended.expect("it has ended");
    let output = ended.output.expect("a guest ran");
    assert_eq!((reason.as_str(), output.exit_code, output.stdout_tail.as_str()), ("Completed", Some(0), "hello\n"));
    assert!(ended.module.is_some() && report.start_time.is_some());
    stage.release(&id).await;
    stage.forgotten(&id).await;

    let sequence = stage.node().await.and_then(|node| node.status).expect("a status").sequence;
    assert!(sequence <= 3, "registered, reported, forgotten: {sequence} writes");
}

/// Everything that is wrong with a job that an entry names (P2), and entries that are cancelled before they begin.
#[tokio::test]
async fn what_is_not_what_was_meant_is_refused() {
    let mut stage = Stage::new("refuses").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &["--memory", "2Gi"]);
    stage.ready().await;
    let jobs: Api<WasmJob> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let finished = json!([{ "type": "Finished", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
    // (name, changes of the spec, of the status, of the entry, what comes of it)
    let rows = [
        ("as-meant", json!({}), json!({}), json!({}), "Completed"),
        ("suspended", json!({ "suspend": true }), json!({}), json!({}), "Refused"),
        ("cancelled-job", json!({ "cancel": true }), json!({}), json!({}), "Refused"),
        ("other-run", json!({}), json!({ "run": 2 }), json!({}), "Refused"),
        ("same-run", json!({}), json!({ "run": 1 }), json!({}), "Completed"),
        ("ended", json!({}), json!({ "run": 1, "conditions": finished }), json!({}), "Refused"),
        ("other-hash", json!({}), json!({}), json!({ "job": { "specHash": "0" } }), "Refused"),
        ("other-uid", json!({}), json!({}), json!({ "job": { "uid": "0" } }), "Refused"),
        ("gone", json!({}), json!({}), json!({ "job": { "name": "nobody" } }), "Refused"),
        ("chunk", json!({}), json!({}), json!({ "indexes": "0-9" }), "Refused"),
        ("too-large", json!({ "resources": { "limits": { "memory": "4Gi" } } }), json!({}), json!({}), "Refused"),
        ("cancelled", json!({}), json!({}), json!({ "cancel": true }), "Cancelled"),
    ];
    let mut entries = Vec::new();
    for (name, spec, status, entry, _) in &rows {
        let mut whole = json!({ "module": inline(HELLO) });
        merge(&mut whole, spec);
        let job = stage.create_job(name, whole).await;
        let status = Patch::Merge(json!({ "status": status }));
        jobs.patch_status(name, &PatchParams::default(), &status).await.expect("written");
        let (id, written) = stage.entry_of(&job, 1);
        let mut written = serde_json::to_value(written).expect("JSON");
        merge(&mut written, entry);
        let assignment: Assignment = serde_json::from_value(written).expect("an entry");
        entries.push((id, Assignment { cancel: entry["cancel"] == true, ..assignment }));
    }
    stage.assign(&entries).await;
    for ((name, .., expected), (id, _)) in rows.iter().zip(&entries) {
        let (reason, report) = stage.ended(id).await;
        assert_eq!(reason, *expected, "{name}: {report:?}");
    }
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().expect("changes") {
        if value.is_object() && into.get(key).is_some_and(Value::is_object) {
            merge(&mut into[key], value);
        } else {
            into[key] = value.clone();
        }
    }
}

#[tokio::test]
async fn config_maps_become_modules_inputs_variables_and_stdin() {
    let mut stage = Stage::new("maps").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &[]);
    stage.ready().await;
    let module = inline(ECHO)["inline"].clone();
    let map = json!({
        "metadata": { "name": "all" },
        "data": { "stdin": "read me\n", "A": "from the map" },
        "binaryData": { "echo.wasm": module },
    });
    let maps: Api<ConfigMap> = Api::namespaced(stage.client.clone(), &stage.namespace);
    maps.create(&PostParams::default(), &serde_json::from_value(map).expect("a ConfigMap")).await.expect("created");
    let echo = json!({ "configMap": { "name": "all", "key": "echo.wasm" } });
    let key = |key: &str| json!({ "configMapKeyRef": { "name": "all", "key": key } });
    let rows = [
        (
            "everything",
            json!({
                "module": echo,
                "inputs": [{ "name": "files", "configMap": { "name": "all" } }],
                "stdin": { "input": { "name": "files", "path": "stdin" } },
                "envFrom": [{ "prefix": "P_", "configMapRef": { "name": "all" } }],
                "env": [{ "name": "B", "valueFrom": key("A") }, { "name": "P_stdin", "value": "mine" }],
            }),
            "Completed",
            &["read me\n", "P_A=from the map", "B=from the map", "P_stdin=mine"][..],
        ),
        ("stdin", json!({ "module": echo, "stdin": { "valueFrom": key("stdin") } }), "Completed", &["read me\n"][..]),
        ("missing-key", json!({ "module": echo, "stdin": { "valueFrom": key("no") } }), "FetchNotFound", &["\"all\"", "\"no\""][..]),
        ("missing", json!({ "module": { "configMap": { "name": "none", "key": "a" } } }), "FetchNotFound", &["\"none\"", "\"a\""][..]),
        ("binary", json!({ "module": echo, "stdin": { "valueFrom": key("echo.wasm") } }), "InvalidSpec", &["binaryData"][..]),
    ];
    for (name, spec, expected, texts) in rows {
        let id = stage.run(name, spec).await;
        let (reason, report) = stage.ended(&id).await;
        assert_eq!(reason, expected, "{name}: {report:?}");
        let ended = report.ended.expect("it has ended");
        let said = format!("{}{}", ended.output.unwrap_or_default().stdout_tail, ended.message);
        assert!(texts.iter().all(|text| said.contains(text)), "{name}: {said}");
    }
}

/// What has no room waits in its turn, and is not lost.
#[tokio::test]
async fn what_has_no_room_waits() {
    let mut stage = Stage::new("room").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &["--slots", "1"]);
    stage.ready().await;
    let first = stage.run("first", json!({ "module": inline(ENDLESS) })).await;
    stage.running(&first).await;
    let second = stage.run("second", json!({ "module": inline(HELLO) })).await;
    let third = stage.run("third", json!({ "module": inline(HELLO) })).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!((stage.report(&second).await, stage.report(&third).await), (None, None));
    stage.cancel(&first).await;
    assert_eq!(stage.ended(&first).await.0, "Cancelled");
    assert_eq!((stage.ended(&second).await.0, stage.ended(&third).await.0), ("Completed".to_owned(), "Completed".to_owned()));
}

#[tokio::test]
async fn health_and_figures_are_told() {
    let mut stage = Stage::new("health").await;
    let identity = stage.identity("only").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mut agent = stage.start(&identity, &["--listen", &format!("127.0.0.1:{port}")]);
    stage.ready().await;
    let id = stage.run("hello", json!({ "module": inline(HELLO) })).await;
    stage.ended(&id).await;
    let asked = async |path: &str| {
        let answer = super::http().get(format!("http://127.0.0.1:{port}{path}")).send().await.expect("it answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    assert_eq!((asked("/livez").await.0, asked("/readyz").await.0, asked("/nothing").await.0), (200, 200, 404));
    let figures = asked("/metrics").await.1;
    for told in
        ["attempts_ended_total{reason=\"Completed\"} 1", "api_writes_total{kind=\"Lease\",outcome=\"written\"}", "attempts_running 0"]
    {
        assert!(figures.contains(&format!("wasmjob_agent_{told}")), "{told}: {figures}");
    }
    // While the work is given back it is alive, and then it is gone.
    agent.ask_to_end().expect("it is asked");
    agent.stop(stage::PATIENCE).expect("it ends");
}
