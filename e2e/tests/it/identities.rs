//! Everything that each identity may do, as the API server itself tells it, against a file that people review; what users may do with
//! jobs; and which queue of the API server each request waits in.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use e2e::Cluster;
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use k8s_openapi::api::flowcontrol::v1::FlowSchema;
use kube::api::PostParams;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Value, json};

/// What the API server said when somebody last looked at it.
const REVIEWED: &str = include_str!("identities/rights.txt");

/// A namespace of users.
const NAMESPACE: &str = "identities";
/// A guard against hangs.
const WITHIN: Duration = Duration::from_mins(1);

/// A client that acts as this user.
async fn user(cluster: &Cluster, name: &str) -> Client {
    let mut config = cluster.config_of(&cluster.kubeconfig()).await.expect("the administrator's");
    config.auth_info.impersonate = Some(name.to_owned());
    Client::try_from(config).expect("a client")
}

async fn send(client: &Client, method: &str, path: &str, body: &Value) -> http::Response<Body> {
    let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = http::Request::builder().method(method).uri(path).header("Content-Type", content_type);
    client.send(request.body(Body::from(bytes)).expect("a request")).await.expect("answered")
}

/// The namespace, in which anna may edit and victor may view.
async fn with_users(cluster: &Cluster) {
    cluster.create_namespace(NAMESPACE).await.expect("created");
    let administrator = cluster.client().await.expect("a client");
    for (name, role) in [("anna", "wasmjob-edit"), ("anna", "wasmjob-view"), ("victor", "wasmjob-view")] {
        let binding = json!({
            "metadata": { "name": format!("{name}-{role}") },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name }],
        });
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings");
        let code = send(&administrator, "POST", &path, &binding).await.status().as_u16();
        assert!([201, 409].contains(&code), "{name} is bound to {role}: {code}");
    }
    // The API server learns of bindings a moment after they were written.
    let victor = user(cluster, "victor").await;
    let begun = Instant::now();
    while send(&victor, "GET", &jobs(""), &Value::Null).await.status() != 200 {
        assert!(begun.elapsed() < WITHIN, "victor may view");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn jobs(rest: &str) -> String {
    format!("/apis/wasmjob.dev/v1alpha1/namespaces/{NAMESPACE}/wasmjobs{rest}")
}

/// One line for each rule: verbs, group, resource and names. What every authenticated user may do is left out.
async fn rules(client: &Client, namespace: &str, common: &BTreeSet<String>) -> BTreeSet<String> {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let answered = Api::all(client.clone()).create(&PostParams::default(), &review).await.expect("answered");
    let status = answered.status.expect("it has rules");
    assert!(!status.incomplete, "{:?}", status.evaluation_error);
    let mut lines = BTreeSet::new();
    for rule in status.resource_rules {
        let (verbs, names) = (rule.verbs.join(","), rule.resource_names.unwrap_or_default().join(","));
        for group in rule.api_groups.unwrap_or_default() {
            for resource in rule.resources.iter().flatten() {
                let line = format!("{verbs} {}{resource} {names}", if group.is_empty() { String::new() } else { format!("{group}/") });
                lines.insert(line.trim_end().to_owned());
            }
        }
    }
    lines.difference(common).cloned().collect()
}

#[tokio::test]
async fn everything_that_each_identity_may_do_has_been_reviewed() {
    let cluster = Cluster::shared().await.expect("it starts");
    with_users(cluster).await;
    let common = rules(&user(cluster, "nobody").await, NAMESPACE, &BTreeSet::new()).await;
    let operator = cluster.client_on("wasmjob-system", "wasmjob-operator", "identities-1").await.expect("granted");
    let agent = cluster.client_on("wasmjob-system", "wasmjob-agent", "identities-1").await.expect("granted");
    let identities = [
        ("operator", &operator, "wasmjob-system"),
        ("operator", &operator, NAMESPACE),
        ("agent", &agent, "wasmjob-system"),
        ("agent", &agent, NAMESPACE),
        ("user with edit", &user(cluster, "anna").await, NAMESPACE),
        ("user with view", &user(cluster, "victor").await, NAMESPACE),
    ];
    let mut now = String::new();
    for (who, client, namespace) in identities {
        let place = if namespace == NAMESPACE { "a user's namespace" } else { namespace };
        for rule in rules(client, namespace, &common).await {
            writeln!(now, "{who} in {place}: {rule}").expect("memory");
        }
    }
    assert_eq!(now, REVIEWED, "rights have changed; if they are meant to, this is e2e/tests/it/identities/rights.txt now:\n{now}");
}

#[tokio::test]
async fn users_write_specs_and_neither_status_nor_nodes() {
    let cluster = Cluster::shared().await.expect("it starts");
    with_users(cluster).await;
    let (anna, victor) = (user(cluster, "anna").await, user(cluster, "victor").await);
    let stranger = user(cluster, "stranger").await;
    let job = json!({
        "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": { "name": "hers" },
        "spec": { "module": { "http": { "url": "http://localhost/a.wasm" } } },
    });
    let nodes = |rest: &str| format!("/apis/wasmjob.dev/v1alpha1/namespaces/wasmjob-system/wasmnodes{rest}");
    let (null, done) = (Value::Null, json!({ "status": { "active": 0 } }));
    let rows = [
        (&anna, "anna", "POST", jobs(""), &job, 201),
        (&anna, "anna", "PATCH", jobs("/hers"), &json!({ "spec": { "suspend": true } }), 200),
        (&anna, "anna", "PATCH", jobs("/hers/status"), &done, 403),
        (&anna, "anna", "PUT", jobs("/hers/status"), &job, 403),
        (&anna, "anna", "GET", nodes(""), &null, 403),
        (&anna, "anna", "POST", nodes(""), &json!({ "metadata": { "name": "mine" }, "spec": {} }), 403),
        (&victor, "victor", "GET", jobs("/hers"), &null, 200),
        (&victor, "victor", "PATCH", jobs("/hers"), &json!({ "spec": { "cancel": true } }), 403),
        (&victor, "victor", "DELETE", jobs("/hers"), &null, 403),
        (&victor, "victor", "GET", nodes("/identities-1"), &null, 403),
        (&stranger, "a stranger", "GET", jobs("/hers"), &null, 403),
        (&anna, "anna", "DELETE", jobs("/hers"), &null, 200),
    ];
    for (client, who, method, path, body, code) in rows {
        assert_eq!(send(client, method, &path, body).await.status().as_u16(), code, "{who} {method} {path}");
    }
}

/// Leases wait with leader election, results with what the cluster itself needs; who lists a lot waits elsewhere.
#[tokio::test]
async fn leases_and_results_wait_in_queues_of_their_own() {
    let cluster = Cluster::shared().await.expect("it starts");
    with_users(cluster).await;
    let administrator = cluster.client().await.expect("a client");
    let operator = cluster.client_on("wasmjob-system", "wasmjob-operator", "identities-2").await.expect("granted");
    let agent = cluster.client_on("wasmjob-system", "wasmjob-agent", "identities-2").await.expect("granted");
    let lease = "/apis/coordination.k8s.io/v1/namespaces/wasmjob-system/leases/identities-2".to_owned();
    let node = "/apis/wasmjob.dev/v1alpha1/namespaces/wasmjob-system/wasmnodes/identities-2/status".to_owned();
    let rows = [
        (&agent, "GET", lease.clone(), "wasmjob-leases"),
        (&operator, "GET", lease, "wasmjob-leases"),
        (&agent, "PATCH", node, "wasmjob-results"),
        (&operator, "PATCH", jobs("/none/status"), "wasmjob-results"),
        (&user(cluster, "victor").await, "GET", jobs(""), "global-default"),
    ];
    let schemas: Api<FlowSchema> = Api::all(administrator);
    for (client, method, path, schema) in rows {
        let expected = schemas.get(schema).await.expect("it is there").metadata.uid.expect("it has a UID");
        let begun = Instant::now();
        // The API server takes schemas up a moment after they were written.
        loop {
            let answer = send(client, method, &path, &json!({})).await;
            let queue = answer.headers().get("X-Kubernetes-PF-FlowSchema-UID").and_then(|uid| uid.to_str().ok());
            if queue == Some(expected.as_str()) {
                break;
            }
            assert!(begun.elapsed() < WITHIN, "{method} {path} is to be of {schema}, is of {queue:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
