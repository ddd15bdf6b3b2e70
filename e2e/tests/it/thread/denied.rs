//! A policy of the cluster's administrator that is against every write of a node: its work goes elsewhere or waits and says why, the operator
//! does not wear itself out, and when the policy is gone all goes on.

use std::fs;

use serde_json::json;

use super::guests::{NOTHING, inline};
use super::stage::{Stage, attempts};

/// Refuses whatever is written of WasmNodes in that namespace but their status, for that reason.
fn policy(name: &str, namespace: &str, reason: &str) -> String {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "resourceRules": [{ "apiGroups": ["wasmjob.dev"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["wasmnodes"] }],
            },
            "validations": [{ "expression": "false", "message": "not in this quarter", "reason": reason }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": { "policyName": name, "validationActions": ["Deny"] },
    });
    json!({ "apiVersion": "v1", "kind": "List", "items": [policy, binding] }).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_against_every_write_of_a_node_makes_the_operator_patient() {
    let stage = Stage::new("denied").await;
    let (operator, agent) = (stage.operator("a").await, stage.agent("n1").await);
    let node = &agent.identity().pod.node;
    // As a refusal with causes, and as a want of rights.
    for reason in ["Invalid", "Forbidden"] {
        // What is left to write of the job before would be refused, too.
        stage.settles().await;
        let name = format!("denied-{}", reason.to_lowercase());
        let file = stage.path("policy.json");
        fs::write(&file, policy(&name, &stage.pool, reason)).expect("written");
        stage.cluster.apply_file(&file).expect("applied");
        let in_force = async || {
            let patch = ["patch", "wjn", node, "--type=merge", "-p", "{}", "--dry-run=server", "-n", &stage.pool];
            let refused = stage.cluster.kubectl(&patch).expect("it runs");
            refused.stderr.contains("not in this quarter").then_some(())
        };
        stage.until("the policy is in force", in_force).await;
        let said = |word: &str| operator.said().matches(word).count();
        let (warned, sent) = (said("takes no write of this node"), said("WriteNode("));

        stage.create(&name, json!({ "module": inline(NOTHING) })).await;
        let says_why = async || {
            let status = stage.status(&name).await;
            let scheduled = status.conditions.iter().find(|condition| condition.type_ == "Scheduled")?;
            scheduled.message.contains("the API server takes no write of it").then(|| scheduled.message.clone())
        };
        let message = stage.until("the job says why", says_why).await;
        assert!(message.contains("not in this quarter"), "{message}");
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let (warned, sent) = (said("takes no write of this node") - warned, said("WriteNode(") - sent);
        // 0.5, 1, 2, 4 … seconds apart.
        assert!(warned == 1 && (1..=8).contains(&sent), "{warned} warnings, {sent} writes");

        let deleted = stage.cluster.kubectl(&["delete", "-f", file.to_str().expect("text")]).expect("it runs");
        assert_eq!(deleted.code, 0, "{deleted:?}");
        let (reason, status) = stage.ended(&name).await;
        assert_eq!((reason.as_str(), attempts(&status)), ("Completed", vec![(1, "Completed")]));
    }
    stage.settles().await;
}
