//! Programs of ours on a cluster: each with a pod object of its own on a node, a token bound to it in a file as a kubelet would
//! mount it, and a kubeconfig that reads that file. Which flags a program wants, its caller knows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::Cluster;
use super::kubeconfig::{Credentials, write_secret};
use super::pods::BoundPod;
use crate::process::Process;

/// Who a program is at the API server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name here: of its files and in what is said of it.
    pub name: String,
    /// Namespace of its service account and pod.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its pod; an agent calls itself by the UID.
    pub pod: BoundPod,
    /// A kubeconfig that reads the token's file again and again.
    pub kubeconfig: PathBuf,
    token: PathBuf,
}

/// A running program of ours, killed when dropped.
pub struct Running {
    identity: Identity,
    process: Process,
    log: PathBuf,
}

impl Cluster {
    /// Creates a pod of that account on that node and writes the files of its identity, named after `name`.
    ///
    /// # Errors
    /// When the API server refuses: account and node must be there.
    pub async fn identity(&self, name: &str, namespace: &str, service_account: &str, node: &str) -> anyhow::Result<Identity> {
        let pod = self.pod_on(namespace, service_account, node).await?;
        self.identity_of(name, service_account, pod).await
    }

    /// Writes the files of the identity that a pod of that account gives, named after `name`.
    ///
    /// # Errors
    /// When the API server refuses: the pod must be there.
    pub async fn identity_of(&self, name: &str, service_account: &str, pod: BoundPod) -> anyhow::Result<Identity> {
        let namespace = pod.namespace.clone();
        let token = self.ground.path(&format!("{name}.token"));
        let kubeconfig = self.ground.write_kubeconfig(name, &namespace, Credentials::TokenFile(&token))?;
        let [name, service_account] = [name, service_account].map(str::to_owned);
        let identity = Identity { name, namespace, service_account, pod, kubeconfig, token };
        self.renew(&identity).await?;
        Ok(identity)
    }

    /// The same identity, for a program that reaches the API server by another URL: through a relay. Its files have this at the end of
    /// their names.
    ///
    /// # Errors
    /// When its kubeconfig cannot be written.
    pub fn through(&self, identity: &Identity, ending: &str, server: &str) -> anyhow::Result<Identity> {
        let credentials = Credentials::TokenFile(&identity.token);
        let name = format!("{}-{ending}", identity.name);
        let kubeconfig = self.ground.write_kubeconfig_for(server, &name, &identity.namespace, credentials)?;
        Ok(Identity { name, kubeconfig, ..identity.clone() })
    }

    /// Writes a new token into the file, as a kubelet does long before the old one ends.
    ///
    /// # Errors
    /// When the API server refuses: the pod must be there.
    pub async fn renew(&self, identity: &Identity) -> anyhow::Result<()> {
        let token = self.token(&identity.namespace, &identity.service_account, Some(&identity.pod)).await;
        write_secret(&identity.token, &token.with_context(|| format!("failed to renew the token of {}", identity.name))?)
    }

    /// Starts a program; what it says goes to `NAME.log` in the cluster's folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, identity: Identity, command: Command) -> anyhow::Result<Running> {
        let log = self.ground.path(&format!("{}.log", identity.name));
        let process = Process::start(&identity.name, command, &log)?;
        Ok(Running { identity, process, log })
    }
}

impl Running {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where what it says goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails with what the program said if it has ended.
    ///
    /// # Errors
    /// When it has.
    pub fn still_running(&mut self) -> anyhow::Result<()> {
        self.process.still_running()
    }

    /// Asks it to end (SIGTERM), and does not wait.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn ask_to_end(&mut self) -> anyhow::Result<()> {
        self.process.ask_to_end()
    }

    /// Asks it to end and waits; when the time is over it is killed, and that is an error.
    ///
    /// # Errors
    /// When it did not end in time.
    pub fn stop(self, within: Duration) -> anyhow::Result<()> {
        self.process.stop(within)
    }
}
