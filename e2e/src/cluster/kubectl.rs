//! The real kubectl, with the administrator's kubeconfig: what a user would type, and what a user would read. Judges nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::{Cluster, bounded, checkout, client_of, get, programs, wait_until};

/// How kubectl ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of. Warnings of the API server are here too.
    pub stderr: String,
}

impl Cluster {
    /// Runs kubectl to its end.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is a value.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Answered> {
        let output = self.kubectl_command()?.args(arguments).output().context("failed to start kubectl")?;
        Ok(Answered {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The command itself, for callers that feed it or let it run beside them.
    ///
    /// # Errors
    /// When kubectl is not built.
    pub fn kubectl_command(&self) -> anyhow::Result<Command> {
        let mut command = programs::command(&programs::KUBECTL, self.folder())?;
        command.arg("--kubeconfig").arg(self.kubeconfig()).stdin(Stdio::null());
        Ok(command)
    }

    /// `kubectl apply -f FILE`, server-side, as a pipeline would; what it printed.
    ///
    /// # Errors
    /// When kubectl fails, with what it said.
    pub fn apply_file(&self, file: &Path) -> anyhow::Result<Answered> {
        let path = file.to_str().context("the path is no text")?;
        let answered = self.kubectl(&["apply", "--server-side", "-f", path])?;
        if answered.code != 0 {
            bail!("kubectl apply -f {path} ended with {}: {}", answered.code, answered.stderr.trim());
        }
        Ok(answered)
    }

    /// Applies `crds/*.yaml` and the rights in `manifests/` (`rbac`, `users`, `flow`), and waits until the kinds are served and the policies are in force.
    ///
    /// # Errors
    /// When a file is refused, or nothing comes of it in time.
    pub async fn install(&self) -> anyhow::Result<()> {
        for file in crd_files()? {
            self.apply_file(&file)?;
        }
        let client = self.client().await?;
        wait_until(Vec::new(), "the definitions of kinds", async || served(&client).await.unwrap_or(false)).await?;
        for rights in ["rbac", "users", "flow"] {
            self.apply_file(&checkout(&format!("manifests/{rights}.yaml")))?;
        }
        let stranger = self.stranger().await?;
        wait_until(Vec::new(), "the policies", async || refused(&stranger).await).await
    }

    /// An agent whose token is bound to no node: the last policy of the file refuses it, and policies come into force in order.
    async fn stranger(&self) -> anyhow::Result<Client> {
        let mut config = self.config_of(&self.kubeconfig()).await?;
        config.auth_info.impersonate =
            Some(format!("system:serviceaccount:{0}:{1}", crds::names::SYSTEM_NAMESPACE, crds::names::AGENT_ACCOUNT));
        config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
        client_of(config)
    }
}

/// The definitions of our kinds, as the checkout has them.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn crd_files() -> anyhow::Result<Vec<PathBuf>> {
    let folder = checkout("crds");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("failed to list {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().context("failed to list the definitions")?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

/// Whether every definition is established and its objects can be listed: the first requests may still find their storage
/// initialising.
async fn served(client: &Client) -> anyhow::Result<bool> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let listed = bounded(definitions.list(&ListParams::default())).await?;
    for definition in &listed.items {
        let conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let established = conditions.into_iter().any(|condition| condition.type_ == "Established" && condition.status == "True");
        let version = definition.spec.versions.iter().find(|version| version.served).context("a definition has a version")?;
        let path = format!("/apis/{}/{}/{}?limit=1", definition.spec.group, version.name, definition.spec.names.plural);
        if !established || get(client, &path).await.is_err() {
            return Ok(false);
        }
    }
    Ok(!listed.items.is_empty())
}

async fn refused(stranger: &Client) -> bool {
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(stranger.clone(), crds::names::SYSTEM_NAMESPACE);
    let lease = serde_json::from_value(json!({ "metadata": { "name": "a-probe-of-the-policies" } })).expect("a Lease");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    matches!(leases.create(&dry, &lease).await, Err(kube::Error::Api(status)) if status.code == 422)
}
