//! What the real API server answers to the agent's patches, on which P5 and P13 stand, and a report that it refuses.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Status;
use serde_json::{Value, json};

use super::stage::{ECHO, HELLO, Stage, inline};

/// Refuses, in one namespace, statuses in which a guest has printed poison.
async fn poison(stage: &Stage) {
    let name = format!("poison-{}", stage.namespace);
    let printed = r#"object.status.reports[id].contains('"stdoutTail":"poison')"#;
    let policy = json!({
        "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": stage.namespace } },
                "resourceRules": [{
                    "apiGroups": ["wasmjob.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["wasmnodes/status"],
                }],
            },
            "validations": [{ "expression": format!("!object.status.reports.exists(id, {printed})"), "message": "poison" }],
        },
    });
    let binding = json!({ "metadata": { "name": name }, "spec": { "policyName": name, "validationActions": ["Deny"] } });
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(stage.client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(policy).expect("a policy")).await.expect("created");
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(stage.client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).expect("a binding")).await.expect("created");
    let output = json!({ "stdoutTail": "poison", "stderrTail": "", "truncated": false });
    let ended = json!({ "reason": "Completed", "finishTime": "2026-01-01T00:00:00Z", "output": output });
    let report = json!({ "fence": "0", "stage": "Ended", "ended": ended }).to_string();
    let probe = json!([{ "op": "add", "path": "/status/reports/probe", "value": report }]);
    stage.until("the policy is in force", async || answer(stage, &probe, true).await.err().map(drop)).await;
}

/// What the API server says to a patch of the status.
async fn answer(stage: &Stage, operations: &Value, dry_run: bool) -> Result<(), Box<Status>> {
    let patch = serde_json::from_value(operations.clone()).expect("a patch");
    let parameters = PatchParams { dry_run, ..PatchParams::default() };
    match stage.nodes().patch_status(&stage.node, &parameters, &Patch::Json::<()>(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("{error}"),
    }
}

/// P5 stands on this: 422 without causes is a failed test, with causes a refusal.
#[tokio::test]
async fn a_failed_test_has_no_causes_and_a_refusal_has() {
    let stage = Stage::new("answers").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &[]);
    stage.ready().await;
    poison(&stage).await;
    let sequence = stage.node().await.and_then(|node| node.status).expect("a status").sequence;
    let report = |report: Value| json!([{ "op": "add", "path": "/status/reports/a", "value": report }]);
    let ended = |ended: Value| report(json!({ "fence": "0", "stage": "Ended", "ended": ended }).to_string().into());
    let poisoned = json!({ "stdoutTail": "poison", "stderrTail": "", "truncated": false });
    // (what, the patch, whether the refusal has causes)
    let rows = [
        ("a test of another value", json!([{ "op": "test", "path": "/status/sequence", "value": -5 }]), false),
        ("a test of a missing path", json!([{ "op": "test", "path": "/status/none", "value": 1 }]), false),
        ("a removal of a missing path", json!([{ "op": "remove", "path": "/status/reports/none" }]), false),
        ("the schema", report(json!({ "fence": "0", "stage": "Running" })), true),
        ("a bound", report("x".repeat(crds::node::REPORT_CHARACTERS + 1).into()), true),
        ("a rule", json!([{ "op": "replace", "path": "/status/sequence", "value": sequence - 1 }]), true),
        ("a policy", ended(json!({ "reason": "Completed", "finishTime": "2026-01-01T00:00:00Z", "output": poisoned })), true),
    ];
    for (what, operations, causes) in rows {
        let status = answer(&stage, &operations, false).await.expect_err(what);
        let told = status.details.as_ref().map_or(0, |details| details.causes.len());
        assert_eq!((status.code, told > 0), (422, causes), "{what}: {status:?}");
    }
}

/// P13: one report that is refused among many stops none of the others, and is told as far as it can be.
#[tokio::test]
async fn a_poisoned_report_shrinks_and_stops_nothing() {
    let mut stage = Stage::new("poisoned").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &[]);
    stage.ready().await;
    poison(&stage).await;
    let mut entries = Vec::new();
    for number in 0..12 {
        let spec = if number == 7 {
            json!({ "module": inline(ECHO), "stdin": { "value": "poison" } })
        } else {
            json!({ "module": inline(HELLO) })
        };
        let job = stage.create_job(&format!("job-{number}"), spec).await;
        entries.push(stage.entry_of(&job, 1));
    }
    stage.assign(&entries).await;
    for (number, (id, _)) in entries.iter().enumerate() {
        let (reason, report) = stage.ended(id).await;
        let output = report.ended.and_then(|ended| ended.output).expect("a guest ran");
        let expected = if number == 7 { ("", true) } else { ("hello\n", false) };
        assert_eq!((reason.as_str(), output.exit_code), ("Completed", Some(0)), "{number}");
        assert_eq!((output.stdout_tail.as_str(), output.truncated), expected, "{number}");
    }
    // Nothing is sent again and again.
    let writes = async || stage.node().await.and_then(|node| node.status).expect("a status").sequence;
    let before = writes().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(writes().await, before);
}

/// As by the process before this one, whose last write was still on its way when this one had read: what it says is not so any more.
#[tokio::test]
async fn a_status_that_another_process_wrote_late_is_written_anew() {
    let stage = Stage::new("foreign").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &[]);
    stage.ready().await;
    let late = async || {
        let status = stage.node().await.and_then(|node| node.status).expect("a status");
        let mut conditions = serde_json::to_value(&status.conditions).expect("JSON");
        (conditions[0]["status"], conditions[0]["reason"]) = (json!("False"), json!("Draining"));
        let operations = json!([
            { "op": "test", "path": "/status/agent", "value": status.agent },
            { "op": "test", "path": "/status/sequence", "value": status.sequence },
            { "op": "replace", "path": "/status/sequence", "value": status.sequence + 1 },
            { "op": "replace", "path": "/status/conditions", "value": conditions },
        ]);
        answer(&stage, &operations, false).await.ok()
    };
    stage.until("it is written", late).await;
    stage.ready().await;
}
