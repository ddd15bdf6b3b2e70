//! System packages that builds and tests stand on: installed where they are missing and can be. Everything else is pinned and built
//! (`components`, `guests`).

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{config, run};

/// Makes `program` ready, which those Debian packages bring. `purpose` says who needs it.
pub(crate) fn ready(program: &str, packages: &[&str], purpose: &str) -> anyhow::Result<()> {
    if config::on_path(program).is_some() {
        return Ok(());
    }
    if config::on_path("apt-get").is_none() {
        bail!("{purpose} needs {program}: install it");
    }
    run::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    run::run(
        Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .with_context(|| format!("failed to install {program}: run this as root, or install it"))
}
