//! Who may do what at the API server, tried with real tokens: RBAC's and the policies' answer to every line of the table, P14 among
//! them. 403 is RBAC's refusal, 422 a policy's, which says what to do instead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::Cluster;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::DeleteParams;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Pool of the table; its agents are on the nodes rights-1 and rights-2.
const POOL: &str = "rights";

const OK: u16 = 200;
const CREATED: u16 = 201;
const FORBIDDEN: u16 = 403;
const REFUSED: u16 = 422;

/// One line: who asks for what, and what must come of it. The text must stand in the answer.
type Row = (&'static str, &'static str, String, Value, u16, &'static str);

async fn ask(client: &Client, method: &str, path: &str, body: &Value) -> (u16, String) {
    let content_type = match method {
        "PATCH" if body.is_array() => "application/json-patch+json",
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", content_type);
    let answer = client.send(request.body(Body::from(bytes)).expect("a request")).await.expect("answered");
    let code = answer.status().as_u16();
    let text = answer.into_body().collect_bytes().await.expect("read");
    (code, String::from_utf8_lossy(&text).into_owned())
}

fn nodes(rest: &str) -> String {
    format!("/apis/wasmjob.dev/v1alpha1/namespaces/{POOL}/wasmnodes{rest}")
}

fn jobs(rest: &str) -> String {
    format!("/apis/wasmjob.dev/v1alpha1/namespaces/{POOL}/wasmjobs{rest}")
}

fn leases(rest: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{POOL}/leases{rest}")
}

fn core(rest: &str) -> String {
    format!("/api/v1/namespaces/{POOL}{rest}")
}

fn node(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmNode", "metadata": { "name": name }, "spec": spec })
}

fn lease(name: &str) -> Value {
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name }, "spec": { "holderIdentity": "me" } })
}

fn job() -> Value {
    let spec = json!({ "module": { "http": { "url": "http://localhost/a.wasm" } } });
    json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": { "name": "one" }, "spec": spec })
}

/// A ConfigMap with this owner.
fn owned(kind: &str, version: &str) -> Value {
    let owner = json!({ "apiVersion": version, "kind": kind, "name": "one", "uid": "11111111-2222-3333-4444-555555555555" });
    let annotations = json!({ "wasmjob.dev/result": "1-0-1-f/outputs" });
    json!({ "metadata": { "name": "result", "ownerReferences": [owner], "annotations": annotations }, "data": { "a": "b" } })
}

fn event(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "one" }, "reason": "Tried",
        "involvedObject": { "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "name": "one", "namespace": namespace },
    })
}

fn entry() -> Value {
    let job = json!({ "namespace": POOL, "name": "one", "uid": "u", "run": 1, "generation": 1, "specHash": "00" });
    let entry = json!({ "job": job, "attempt": 1, "fence": "0123456789abcdef0123456789abcdef", "indexes": "0" });
    json!({ "u-1-0-1": entry.to_string() })
}

/// An agent that comes up: its own objects, and nobody else's.
fn coming_up() -> Vec<Row> {
    let finalizer = json!({ "metadata": { "name": "rights-2", "finalizers": ["example.com/held"] } });
    let generated = json!({ "metadata": { "generateName": "rights-" } });
    let with = |metadata: &Value| {
        let mut object = node("rights-2", json!({}));
        object["metadata"] = metadata["metadata"].clone();
        object
    };
    vec![
        ("agent 1", "POST", nodes(""), node("rights-1", json!({})), CREATED, ""),
        ("agent 1", "POST", nodes(""), node("rights-1", json!({})), 409, "already exists"),
        ("agent 1", "POST", nodes(""), node("rights-2", json!({})), REFUSED, "its own node only, which is rights-1"),
        ("agent 1", "POST", nodes(""), with(&generated), REFUSED, "its own node only"),
        ("unbound", "POST", nodes(""), node("rights-2", json!({})), REFUSED, "names no node"),
        ("another pool's agent", "POST", nodes(""), node("rights-2", json!({})), FORBIDDEN, ""),
        ("agent 2", "POST", nodes(""), node("rights-2", json!({ "assignments": entry() })), REFUSED, "with an empty spec"),
        ("agent 2", "POST", nodes(""), node("rights-2", json!({ "epoch": 3 })), REFUSED, "with an empty spec"),
        ("agent 2", "POST", nodes(""), node("rights-2", json!({ "sequence": 1 })), REFUSED, "with an empty spec"),
        ("agent 2", "POST", nodes(""), node("rights-2", json!({ "unschedulable": true })), REFUSED, "with an empty spec"),
        ("agent 2", "POST", nodes(""), with(&finalizer), REFUSED, "without finalizers"),
        ("agent 2", "POST", nodes(""), node("rights-2", json!({ "epoch": 0, "sequence": 0, "assignments": {} })), CREATED, ""),
        ("agent 1", "POST", leases(""), lease("rights-1"), CREATED, ""),
        ("agent 1", "POST", leases(""), lease("rights-2"), REFUSED, "its own node only, which is rights-1"),
        ("agent 1", "POST", leases(""), lease("wasmjob-operator"), REFUSED, "its own node only"),
        ("unbound", "POST", leases(""), lease("rights-2"), REFUSED, "names no node"),
        ("agent 2", "POST", leases(""), lease("rights-2"), CREATED, ""),
    ]
}

/// An agent at work.
fn at_work() -> Vec<Row> {
    let status = json!([{ "op": "replace", "path": "/status/sequence", "value": 1 }]);
    let renewal = json!({ "spec": { "holderIdentity": "me again" } });
    let spec = json!({ "spec": { "sequence": 1 } });
    vec![
        ("agent 1", "PATCH", nodes("/rights-1/status"), status.clone(), OK, "\"sequence\":1"),
        ("agent 1", "PATCH", nodes("/rights-2/status"), status.clone(), REFUSED, "its own node only, which is rights-1"),
        ("unbound", "PATCH", nodes("/rights-1/status"), status.clone(), REFUSED, "names no node"),
        ("another pool's agent", "PATCH", nodes("/rights-1/status"), status.clone(), FORBIDDEN, ""),
        ("operator", "PATCH", nodes("/rights-1/status"), status, FORBIDDEN, ""),
        ("agent 1", "PATCH", nodes("/rights-1"), spec, FORBIDDEN, ""),
        ("agent 1", "PUT", nodes("/rights-1/status"), node("rights-1", json!({})), FORBIDDEN, ""),
        ("agent 1", "DELETE", nodes("/rights-1"), Value::Null, FORBIDDEN, ""),
        ("agent 1", "DELETE", nodes(""), Value::Null, FORBIDDEN, ""),
        ("agent 1", "GET", nodes("/rights-1"), Value::Null, OK, ""),
        ("agent 1", "PATCH", leases("/rights-1"), renewal.clone(), OK, "me again"),
        ("agent 1", "PATCH", leases("/rights-2"), renewal.clone(), REFUSED, "its own node only, which is rights-1"),
        ("operator", "POST", leases(""), lease("wasmjob-operator"), CREATED, ""),
        ("agent 1", "PATCH", leases("/wasmjob-operator"), renewal, REFUSED, "its own node only, which is rights-1"),
        ("operator", "GET", leases(""), Value::Null, OK, ""),
        ("operator", "DELETE", leases("/rights-2"), Value::Null, OK, ""),
        ("agent 1", "GET", leases("/rights-1"), Value::Null, OK, ""),
        ("agent 1", "GET", leases(""), Value::Null, FORBIDDEN, ""),
        ("agent 1", "DELETE", leases("/rights-1"), Value::Null, FORBIDDEN, ""),
    ]
}

/// What is read, and by whom.
fn reading() -> Vec<Row> {
    let map = json!({ "metadata": { "name": "settings" }, "data": { "a": "b" } });
    let secret = json!({ "metadata": { "name": "hidden" }, "stringData": { "a": "b" } });
    let null = Value::Null;
    vec![
        ("administrator", "POST", core("/configmaps"), map.clone(), CREATED, ""),
        ("administrator", "POST", core("/secrets"), secret, CREATED, ""),
        ("administrator", "POST", jobs(""), job(), CREATED, ""),
        ("agent 1", "GET", core("/configmaps/settings"), null.clone(), OK, ""),
        ("another pool's agent", "GET", core("/configmaps/settings"), null.clone(), OK, ""),
        ("agent 1", "GET", core("/configmaps"), null.clone(), FORBIDDEN, ""),
        ("agent 1", "GET", jobs("/one"), null.clone(), OK, ""),
        ("agent 1", "GET", jobs(""), null.clone(), FORBIDDEN, ""),
        ("agent 1", "GET", jobs("?watch=true"), null.clone(), FORBIDDEN, ""),
        ("agent 1", "PATCH", jobs("/one/status"), json!({ "status": {} }), FORBIDDEN, ""),
        ("agent 1", "DELETE", jobs("/one"), null.clone(), FORBIDDEN, ""),
        ("agent 1", "GET", core("/secrets/hidden"), null.clone(), FORBIDDEN, ""),
        ("agent 1", "GET", core("/secrets"), null.clone(), FORBIDDEN, ""),
        ("agent 1", "POST", core("/serviceaccounts/wasmjob-agent/token"), json!({ "spec": {} }), FORBIDDEN, ""),
        ("operator", "GET", core("/secrets/hidden"), null.clone(), FORBIDDEN, ""),
        ("operator", "GET", core("/configmaps/settings"), null.clone(), OK, ""),
        ("operator", "GET", core("/configmaps"), null.clone(), FORBIDDEN, ""),
        ("operator", "POST", core("/configmaps"), map.clone(), REFUSED, "is the result of a WasmJob, which owns it"),
        ("operator", "POST", core("/configmaps"), owned("ConfigMap", "v1"), REFUSED, "is the result of a WasmJob, which owns it"),
        ("operator", "POST", core("/configmaps"), owned("WasmJob", "wasmjob.dev/v1alpha1"), CREATED, ""),
        ("operator", "POST", core("/configmaps"), owned("WasmJob", "wasmjob.dev/v1alpha1"), 409, "already exists"),
        ("operator", "PUT", core("/configmaps/settings"), map.clone(), FORBIDDEN, ""),
        ("operator", "PATCH", core("/configmaps/settings"), map.clone(), FORBIDDEN, ""),
        ("operator", "DELETE", core("/configmaps/settings"), null.clone(), FORBIDDEN, ""),
        ("agent 1", "POST", core("/configmaps"), map, FORBIDDEN, ""),
        ("operator", "GET", jobs(""), null.clone(), OK, ""),
        ("operator", "GET", "/apis/wasmjob.dev/v1alpha1/wasmjobs".to_owned(), null.clone(), OK, ""),
        ("operator", "GET", nodes(""), null.clone(), OK, ""),
        ("operator", "GET", "/api/v1/nodes".to_owned(), null.clone(), OK, ""),
        ("operator", "POST", jobs(""), job(), FORBIDDEN, ""),
        ("operator", "PATCH", jobs("/one"), json!({ "spec": { "suspend": true } }), FORBIDDEN, ""),
        ("operator", "PATCH", jobs("/one/status"), json!({ "status": { "active": 0 } }), OK, ""),
        ("operator", "POST", core("/events"), event(POOL), CREATED, ""),
        ("operator", "DELETE", jobs("/one"), null, OK, ""),
    ]
}

/// P14: what may still be running is not forgotten.
fn deletion() -> Vec<Row> {
    let assign =
        json!([{ "op": "add", "path": "/spec/assignments", "value": entry() }, { "op": "replace", "path": "/spec/sequence", "value": 1 }]);
    let null = Value::Null;
    vec![
        ("operator", "PATCH", nodes("/rights-1"), assign.clone(), OK, "u-1-0-1"),
        ("administrator", "DELETE", nodes("/rights-1"), null.clone(), REFUSED, "this node still has 1 assignment, which"),
        ("administrator", "DELETE", nodes("/rights-1?gracePeriodSeconds=0"), null.clone(), REFUSED, "set spec.unschedulable to true"),
        ("administrator", "DELETE", nodes(""), null.clone(), REFUSED, "this node still has 1 assignment"),
        ("administrator", "GET", nodes("/rights-1"), null.clone(), OK, "u-1-0-1"),
        ("operator", "DELETE", nodes("/rights-1"), null.clone(), OK, ""),
        ("administrator", "POST", nodes(""), node("rights-3", json!({})), CREATED, ""),
        ("administrator", "DELETE", nodes("/rights-3"), null, OK, ""),
    ]
}

async fn who(cluster: &Cluster) -> BTreeMap<&'static str, Client> {
    cluster.create_pool(POOL).await.expect("made");
    let unbound = cluster.token(POOL, "wasmjob-agent", None).await.expect("granted");
    BTreeMap::from([
        ("agent 1", cluster.client_on(POOL, "wasmjob-agent", "rights-1").await.expect("granted")),
        ("agent 2", cluster.client_on(POOL, "wasmjob-agent", "rights-2").await.expect("granted")),
        ("another pool's agent", cluster.client_on("wasmjob-system", "wasmjob-agent", "rights-2").await.expect("granted")),
        ("unbound", cluster.client_for(&unbound).await.expect("a client")),
        ("operator", cluster.client_on("wasmjob-system", "wasmjob-operator", "rights-1").await.expect("granted")),
        ("administrator", cluster.client().await.expect("a client")),
    ])
}

#[tokio::test]
async fn everybody_may_do_their_part_and_nothing_else() {
    let cluster = Cluster::shared().await.expect("it starts");
    let clients = who(cluster).await;
    let mut wrong = Vec::new();
    for (who, method, path, body, code, text) in [coming_up(), at_work(), reading(), deletion()].concat() {
        let (answered, said) = ask(&clients[who], method, &path, &body).await;
        if answered != code || !said.contains(text) {
            wrong.push(format!("{who} {method} {path} {body}: {answered} instead of {code} {text:?}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the message of `CredentialDenied` tells users to create.
#[tokio::test]
async fn the_operator_reads_a_secret_that_was_granted_by_name_and_nothing_beside_it() {
    let cluster = Cluster::shared().await.expect("it starts");
    let administrator = cluster.client().await.expect("a client");
    let operator = cluster.client_on("wasmjob-system", "wasmjob-operator", "rights-4").await.expect("granted");
    cluster.create_namespace("rights-secrets").await.expect("created");
    let objects = |rest: &str| format!("/api/v1/namespaces/rights-secrets{rest}");
    let granting = |rest: &str| format!("/apis/rbac.authorization.k8s.io/v1/namespaces/rights-secrets{rest}");
    let secret = |name: &str| json!({ "metadata": { "name": name }, "stringData": { "a": "b" } });
    let one = json!({ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["granted"], "verbs": ["get"] });
    let role = json!({ "metadata": { "name": "granted" }, "rules": [one] });
    let binding = json!({
        "metadata": { "name": "granted" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "granted" },
        "subjects": [{ "kind": "ServiceAccount", "name": "wasmjob-operator", "namespace": "wasmjob-system" }],
    });
    for (path, body) in [
        (objects("/secrets"), secret("granted")),
        (objects("/secrets"), secret("other")),
        (granting("/roles"), role),
        (granting("/rolebindings"), binding),
    ] {
        let (code, said) = ask(&administrator, "POST", &path, &body).await;
        assert_eq!(code, CREATED, "{path}: {said}");
    }
    let begun = Instant::now();
    // The API server learns of a role a moment after it was written.
    while ask(&operator, "GET", &objects("/secrets/granted"), &Value::Null).await.0 != OK {
        assert!(begun.elapsed() < Duration::from_mins(1), "it was granted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    let rows = [
        ("GET", objects("/secrets/other"), Value::Null),
        ("GET", objects("/secrets"), Value::Null),
        ("GET", objects("/secrets?fieldSelector=metadata.name=granted"), Value::Null),
        ("GET", objects("/secrets?watch=true&fieldSelector=metadata.name=granted"), Value::Null),
        ("PATCH", objects("/secrets/granted"), patch),
        ("DELETE", objects("/secrets/granted"), Value::Null),
    ];
    for (method, path, body) in rows {
        let (code, said) = ask(&operator, method, &path, &body).await;
        assert_eq!(code, FORBIDDEN, "{method} {path}: {said}");
    }
    let agent = cluster.client_on("wasmjob-system", "wasmjob-agent", "rights-4").await.expect("granted");
    assert_eq!(ask(&agent, "GET", &objects("/secrets/granted"), &Value::Null).await.0, FORBIDDEN);
}

#[tokio::test]
async fn a_namespace_ends_with_the_assignments_in_it() {
    let cluster = Cluster::shared().await.expect("it starts");
    let client = cluster.client().await.expect("a client");
    cluster.create_namespace("ending-pool").await.expect("created");
    let path = "/apis/wasmjob.dev/v1alpha1/namespaces/ending-pool/wasmnodes";
    let (code, said) = ask(&client, "POST", path, &node("ending", json!({ "assignments": entry() }))).await;
    assert_eq!(code, CREATED, "{said}");
    let (code, said) = ask(&client, "DELETE", &format!("{path}/ending"), &Value::Null).await;
    assert_eq!(code, REFUSED, "{said}");
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("ending-pool", &DeleteParams::default()).await.expect("accepted");
    let begun = Instant::now();
    while let Some(left) = namespaces.get_opt("ending-pool").await.expect("asked") {
        assert!(begun.elapsed() < Duration::from_mins(3), "{left:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
