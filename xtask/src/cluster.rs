//! `cluster`: the control plane on loopback with the operator and agents that `e2e`'s program keeps in the background. Builds what it
//! runs first; says nothing on stdout itself, so that the last line there is the program's.

use crate::{components, run};

/// What the program needs that is not ours.
const CONTROL_PLANE: [&str; 5] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"];

/// Only `up` starts anything, so only `up` needs it built.
pub(crate) fn cluster(arguments: &[String]) -> anyhow::Result<()> {
    if arguments.first().is_some_and(|verb| verb == "up") {
        let all = arguments.iter().any(|argument| argument == "--with-stores");
        let names = if all { Vec::new() } else { CONTROL_PLANE.map(str::to_owned).to_vec() };
        components::components(&names)?;
        run::cargo(&["build", "--quiet", "--workspace", "--bins", "--locked"])?;
    }
    // Of no single package, as in `bench`.
    let mut words = vec!["run", "--quiet", "--locked", "--bin", "cluster", "--"];
    words.extend(arguments.iter().map(String::as_str));
    run::cargo(&words)
}
