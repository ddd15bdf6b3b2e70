//! The programs of a control plane with their flags, as in components.md's notes of what such a machine needs: everything on
//! loopback or a socket, nothing that needs a kubelet. Starts them; when they are ready is asked elsewhere.

use std::path::Path;
use std::process::Command;

use super::ground::Ground;
use crate::components::Component;
use crate::process::Process;

const ETCD: Component =
    Component { name: "etcd", module: "go.etcd.io/etcd/server/v3", go_mod: include_str!("../../components/etcd/go.mod") };
const API_SERVER: Component = kubernetes("kube-apiserver");
const CONTROLLER_MANAGER: Component = kubernetes("kube-controller-manager");
const SCHEDULER: Component = kubernetes("kube-scheduler");
pub(super) const KUBECTL: Component = kubernetes("kubectl");

const fn kubernetes(name: &'static str) -> Component {
    Component { name, module: "k8s.io/kubernetes", go_mod: include_str!("../../components/kubernetes/go.mod") }
}

/// Controllers that would take Nodes without a kubelet for dead, and their pods with them.
const NOT_FOR_US: &str = "*,-node-lifecycle-controller,-taint-eviction-controller";

/// What etcd calls itself and its only peer. It insists on a host and a port, and takes them for a file in its working folder.
const ETCD_PEER: &str = "unix://etcd-peers:0";

/// etcd listens on sockets in the cluster's folder: no port can be taken, and nobody but the folder's owner reaches it.
pub(super) fn etcd(ground: &Ground, fsync: bool) -> anyhow::Result<Process> {
    let mut command = command(&ETCD, ground.folder())?;
    command.arg(format!("--data-dir={}", ground.path("etcd").display())).args(["--name=only", "--log-level=warn"]);
    command.args([format!("--listen-client-urls={}", etcd_url(ground)), "--advertise-client-urls=unix://etcd:0".to_owned()]);
    command.args([format!("--listen-peer-urls={ETCD_PEER}"), format!("--initial-advertise-peer-urls={ETCD_PEER}")]);
    command.arg(format!("--initial-cluster=only={ETCD_PEER}"));
    if !fsync {
        command.arg("--unsafe-no-fsync");
    }
    start(&ETCD, command, ground)
}

fn etcd_url(ground: &Ground) -> String {
    format!("unix://{}", ground.path("etcd.sock").display())
}

/// kube-apiserver as clusters have it: RBAC, bound service account tokens, all default admission.
pub(super) fn api_server(ground: &Ground) -> anyhow::Result<Process> {
    let mut command = command(&API_SERVER, ground.folder())?;
    command.args([format!("--etcd-servers={}", etcd_url(ground)), format!("--secure-port={}", ground.port())]);
    command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]);
    command.args(["--authorization-mode=Node,RBAC", "--allow-privileged=true", "--service-cluster-ip-range=10.0.0.0/24"]);
    command.arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local");
    let files = [
        ("cert-dir", "."),
        ("client-ca-file", "ca.crt"),
        ("tls-cert-file", "server.crt"),
        ("tls-private-key-file", "server.key"),
        ("service-account-key-file", "service-accounts.pub"),
        ("service-account-signing-key-file", "service-accounts.key"),
    ];
    command.args(files.map(|(flag, file)| format!("--{flag}={}", ground.path(file).display())));
    start(&API_SERVER, command, ground)
}

/// kube-controller-manager, each controller with its own service account, as policies expect it.
pub(super) fn controller_manager(ground: &Ground) -> anyhow::Result<Process> {
    let mut command = controller(&CONTROLLER_MANAGER, ground)?;
    command.args([format!("--controllers={NOT_FOR_US}"), "--use-service-account-credentials=true".to_owned()]);
    let files = [("root-ca-file", "ca.crt"), ("service-account-private-key-file", "service-accounts.key")];
    command.args(files.map(|(flag, file)| format!("--{flag}={}", ground.path(file).display())));
    start(&CONTROLLER_MANAGER, command, ground)
}

pub(super) fn scheduler(ground: &Ground) -> anyhow::Result<Process> {
    let command = controller(&SCHEDULER, ground)?;
    start(&SCHEDULER, command, ground)
}

/// There is only one of each, and nobody asks it anything over the network.
fn controller(component: &Component, ground: &Ground) -> anyhow::Result<Command> {
    let mut command = command(component, ground.folder())?;
    let kubeconfig = ground.kubeconfig(component.name).display().to_string();
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{flag}={kubeconfig}"));
    }
    command.args(["--leader-elect=false", "--secure-port=0"]);
    Ok(command)
}

/// The program in an environment of its own.
pub(super) fn command(component: &Component, folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(component.program()?);
    command.env_clear().env("HOME", folder).current_dir(folder);
    Ok(command)
}

fn start(component: &Component, command: Command, ground: &Ground) -> anyhow::Result<Process> {
    Process::start(component.name, command, &ground.path(&format!("{}.log", component.name)))
}

/// Whether the start failed because another program was quicker to take the port.
pub(super) fn port_was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}
