//! Objects that tests stand on: namespaces, pools, nodes that say they are ready, and tokens that are bound to pods. Made over the API as
//! the administrator; nothing is run. The pods themselves are `pods`'.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use crds::names::{AGENT_ACCOUNT, OPERATOR_ACCOUNT, SYSTEM_NAMESPACE};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::kubeconfig::Credentials;
use super::pods::BoundPod;
use super::{Cluster, bounded};

/// Of a label's value.
const LONGEST_LABEL: usize = 63;

impl Cluster {
    /// Creates a namespace; one that is there already is fine.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn create_namespace(&self, name: &str) -> anyhow::Result<()> {
        create(&Api::<Namespace>::all(self.client().await?), json!({ "metadata": { "name": name } })).await
    }

    /// Creates a service account; one that is there already is fine.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn create_service_account(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        create(&accounts, json!({ "metadata": { "name": name } })).await
    }

    /// Makes a namespace a pool: its agents' account, their rights and the operator's there. Needs [`Cluster::install`].
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn create_pool(&self, namespace: &str) -> anyhow::Result<()> {
        self.create_namespace(namespace).await?;
        self.create_service_account(namespace, AGENT_ACCOUNT).await?;
        let client = self.client().await?;
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
        let role = |name: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name });
        let account = |namespace: &str, name: &str| json!([{ "kind": "ServiceAccount", "namespace": namespace, "name": name }]);
        for (name, home, account_name) in
            [("wasmjob-agent-pool", namespace, AGENT_ACCOUNT), ("wasmjob-operator-pool", SYSTEM_NAMESPACE, OPERATOR_ACCOUNT)]
        {
            let binding = json!({ "metadata": { "name": name }, "roleRef": role(name), "subjects": account(home, account_name) });
            create(&bindings, binding).await?;
        }
        let binding = json!({
            "metadata": { "name": format!("wasmjob-agent-{namespace}") },
            "roleRef": role("wasmjob-agent"),
            "subjects": account(namespace, AGENT_ACCOUNT),
        });
        create(&Api::<ClusterRoleBinding>::all(client), binding).await
    }

    /// Creates a Node that says it is ready; one that is there already is fine.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn node(&self, name: &str) -> anyhow::Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        // A Node's name may be longer than a label.
        let hostname = name.get(..LONGEST_LABEL).unwrap_or(name).trim_end_matches(['-', '.']);
        let labels = json!({ "kubernetes.io/hostname": hostname, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" });
        create(&nodes, json!({ "metadata": { "name": name, "labels": labels } })).await?;
        // A new Node is tainted until somebody says that it is ready; the controller that would take the taint away is off.
        patch(&nodes, name, None, json!({ "spec": { "taints": null } })).await?;
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a Node of a test, without a kubelet",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        });
        let room = json!({ "cpu": "4", "memory": "8Gi", "pods": "110" });
        patch(&nodes, name, Some("status"), json!({ "status": { "conditions": [ready], "capacity": room, "allocatable": room } })).await
    }

    /// A token as a kubelet would mount it, valid for an hour. Bound to a pod, it names the pod's node and dies with the pod.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn token(&self, namespace: &str, service_account: &str, pod: Option<&BoundPod>) -> anyhow::Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let bound = pod.map(|pod| json!({ "apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid }));
        let request = json!({ "spec": { "audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound } });
        let request: TokenRequest = serde_json::from_value(request).context("failed to write a token request")?;
        let params = PostParams::default();
        let asked = accounts.create_token_request(service_account, &params, &request);
        let answered = bounded(asked).await.context("failed to request a token")?;
        Ok(answered.status.context("a granted request has a token")?.token)
    }

    /// A client of that account, its token bound to a new pod on that node.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn client_on(&self, namespace: &str, service_account: &str, node: &str) -> anyhow::Result<Client> {
        self.node(node).await?;
        let pod = self.pod_on(namespace, service_account, node).await?;
        let token = self.token(namespace, service_account, Some(&pod)).await?;
        self.client_for(&token).await
    }

    /// A kubeconfig with that token, in the cluster's folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_for(&self, token: &str) -> anyhow::Result<PathBuf> {
        static WRITTEN: AtomicUsize = AtomicUsize::new(0);
        let name = format!("token-{}", WRITTEN.fetch_add(1, Ordering::Relaxed));
        self.ground.write_kubeconfig(&name, "default", Credentials::Token(token))
    }
}

/// Creates an object; one that is there already is fine.
async fn create<K>(api: &Api<K>, object: Value) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Serialize,
{
    let kind = K::kind(&());
    let object: K = serde_json::from_value(object).with_context(|| format!("failed to write a {kind}"))?;
    match bounded(api.create(&PostParams::default(), &object)).await {
        Err(error) if is_conflict(&error) => Ok(()),
        done => done.map(drop).with_context(|| format!("failed to create a {kind}")),
    }
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if status.code == 409)
}

pub(super) async fn patch<K>(api: &Api<K>, name: &str, subresource: Option<&str>, change: Value) -> anyhow::Result<()>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let (params, change) = (PatchParams::default(), Patch::Strategic(change));
    let done = match subresource {
        Some(_) => bounded(api.patch_status(name, &params, &change)).await,
        None => bounded(api.patch(name, &params, &change)).await,
    };
    done.map(drop).with_context(|| format!("failed to patch {} {name}", K::kind(&())))
}
