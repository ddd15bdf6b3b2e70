//! `check`: what can be told without running the product: format, lints, tidy, generated files, documentation.

use std::process::Command;

use crate::run::{cargo, run};
use crate::stages::{self, Stage};
use crate::{config, generate, tidy};

/// The stages, which `test` runs too.
pub(crate) const STAGES: [Stage; 5] = [
    Stage { name: "format", run: || cargo(&["fmt", "--all", "--check"]) },
    Stage { name: "clippy", run: || cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]) },
    Stage { name: "tidy", run: tidy::tidy },
    Stage { name: "generated files", run: || generate::generate(true) },
    Stage { name: "documentation", run: documentation },
];

/// Runs all of them.
pub(crate) fn check() -> anyhow::Result<()> {
    stages::run("check", &STAGES)
}

fn documentation() -> anyhow::Result<()> {
    run(Command::new(config::cargo())
        .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(config::root()))
}
