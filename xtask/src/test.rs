//! `test`: installs what is needed and runs everything that must pass, on a fresh machine and on a warm one.

use crate::stages::{self, Stage};
use crate::{check, components, guests, packages, run};

/// Components come first: a machine that lacks Go learns it in the first second.
pub(crate) fn test() -> anyhow::Result<()> {
    let mut stages = vec![
        Stage { name: "components", run: || components::components(&[]) },
        Stage { name: "packages", run: || packages::ready("ip", &["iproute2"], "the test that cuts a node's network") },
    ];
    stages.extend(check::STAGES);
    let guests = || guests::build(guests::Options { check: true, ..Default::default() }).map(drop);
    stages.push(Stage { name: "guests", run: guests });
    stages.push(Stage { name: "build", run: || run::cargo(&["build", "--workspace", "--all-targets", "--locked"]) });
    stages.push(Stage { name: "tests", run: || run::cargo(&["test", "--workspace", "--locked"]) });
    stages::run("test", &stages)
}
