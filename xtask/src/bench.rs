//! `bench`: runs the benchmark program of `e2e`, which compares ours with a bare tool in one interleaved run.

use crate::{components, run};

/// Builds what it measures first, so that building is never measured.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    components::components(&[])?;
    run::cargo(&["build", "--workspace", "--bins", "--examples", "--locked"])?;
    // Of no single package: its features would not be the workspace's, and everything would be built again.
    let mut words = vec!["run", "--quiet", "--locked", "--bin", "bench", "--"];
    words.extend(arguments.iter().map(String::as_str));
    run::cargo(&words)
}
