//! `bench`: runs the benchmark program of `e2e`, which compares ours with a bare tool in one interleaved run.

use crate::{components, run};

/// Builds what it measures first, so that building is never measured.
pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    components::components(&[])?;
    run::cargo(&["build", "--workspace", "--locked"])?;
    let mut words = vec!["run", "--quiet", "--locked", "--package", "e2e", "--bin", "bench", "--"];
    words.extend(arguments.iter().map(String::as_str));
    run::cargo(&words)
}
