//! Pods as objects: tokens can be bound to them, and Services find what they are said to be. Whatever runs in their place, somebody else
//! starts; what a kubelet would write of it is written here when it is told.

use std::net::IpAddr;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::objects::patch;
use super::{Cluster, bounded};

/// What Services call the port at which a pod serves `/livez`, `/readyz` and `/metrics`.
pub const PORT_NAME: &str = "metrics";

/// A pod that exists as an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID: what an agent calls itself by.
    pub uid: String,
    /// The node that it is on, and that its tokens name.
    pub node: String,
}

/// What a kubelet would know of the program in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Where it is reached from other machines; `None` if it is not.
    pub address: Option<IpAddr>,
    /// Whether it answers its readiness probe.
    pub ready: bool,
    /// How often it was started again.
    pub restarts: u32,
}

impl Cluster {
    /// Creates a pod of that account on that node, and says that it runs and is ready. Nothing keeps it from being deleted at once.
    ///
    /// # Errors
    /// When the API server refuses: the account must be there.
    pub async fn pod_on(&self, namespace: &str, service_account: &str, node: &str) -> anyhow::Result<BoundPod> {
        let pod = self.create_pod(namespace, service_account, node, None).await?;
        self.say(&pod, Observed { address: None, ready: true, restarts: 0 }).await?;
        Ok(pod)
    }

    /// Creates a pod of that account on that node whose program will serve `/readyz` at that port. What comes of it is to be said.
    ///
    /// # Errors
    /// As [`Cluster::pod_on`].
    pub async fn pod_serving(&self, namespace: &str, service_account: &str, node: &str, port: u16) -> anyhow::Result<BoundPod> {
        self.create_pod(namespace, service_account, node, Some(port)).await
    }

    async fn create_pod(&self, namespace: &str, service_account: &str, node: &str, port: Option<u16>) -> anyhow::Result<BoundPod> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, namespace);
        let pod = serde_json::from_value(object(service_account, node, port)).context("failed to write a pod")?;
        let made = bounded(pods.create(&PostParams::default(), &pod)).await.context("failed to create a pod")?;
        let name = made.metadata.name.context("a created pod has a name")?;
        let uid = made.metadata.uid.context("a created pod has a UID")?;
        Ok(BoundPod { namespace: namespace.to_owned(), name, uid, node: node.to_owned() })
    }

    /// Writes into the pod's status what a kubelet would.
    ///
    /// # Errors
    /// When the API server refuses: the pod must be there.
    pub async fn say(&self, pod: &BoundPod, observed: Observed) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, &pod.namespace);
        patch(&pods, &pod.name, Some("status"), json!({ "status": status(observed) })).await
    }
}

fn object(service_account: &str, node: &str, port: Option<u16>) -> Value {
    let mut container = json!({
        "name": "only",
        "image": "none.invalid/none",
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    });
    if let Some(port) = port {
        container["ports"] = json!([{ "name": PORT_NAME, "containerPort": port }]);
        container["readinessProbe"] = json!({ "httpGet": { "path": "/readyz", "port": PORT_NAME }, "periodSeconds": 1 });
    }
    json!({
        "metadata": { "generateName": format!("{service_account}-"), "labels": { "app.kubernetes.io/name": service_account } },
        "spec": {
            "serviceAccountName": service_account,
            "automountServiceAccountToken": false,
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{ "operator": "Exists" }],
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
        },
    })
}

fn status(Observed { address, ready, restarts }: Observed) -> Value {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let readiness = |kind: &str| json!({ "type": kind, "status": if ready { "True" } else { "False" }, "lastTransitionTime": now });
    let container = json!({
        "name": "only", "image": "none.invalid/none", "imageID": "none", "restartCount": restarts, "ready": ready, "started": true,
        "state": { "running": {} },
    });
    let mut status = json!({
        "phase": "Running",
        "conditions": [{ "type": "Initialized", "status": "True" }, readiness("ContainersReady"), readiness("Ready")],
        "containerStatuses": [container],
    });
    if let Some(address) = address {
        let address = address.to_string();
        for (one, all) in [("podIP", "podIPs"), ("hostIP", "hostIPs")] {
            status[one] = json!(address);
            status[all] = json!([{ "ip": address }]);
        }
    }
    status
}
