//! `deny`: licences, bans, sources and advisories of the dependencies, by `deny.toml`.
//! No part of `test`: cargo-deny takes minutes to build and the advisories come from the network. What must hold on every
//! machine (no C libraries for TLS, one version of each heavy crate) `tidy` checks from the lock file.

use anyhow::{Context as _, bail};

use crate::{config, run};

/// Runs cargo-deny, or says how to get it.
pub(crate) fn deny() -> anyhow::Result<()> {
    if config::on_path("cargo-deny").is_none() {
        bail!("cargo-deny is not installed: cargo install --locked cargo-deny@0.20.2");
    }
    run::cargo(&["deny", "--workspace", "check"]).context("a dependency breaks deny.toml")
}
