//! Runs other programs in the checkout: shows the command, passes its output through, and turns a failure into an error.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::config;

/// Runs the command to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = shown(command);
    eprintln!("+ {line}");
    let status = command.status().with_context(|| format!("failed to start {line:?}"))?;
    if !status.success() {
        bail!("{line:?} ended with {status}");
    }
    Ok(())
}

/// Runs the same cargo that runs us, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new(config::cargo()).args(arguments).current_dir(config::root()))
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name).chain(command.get_args()).map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
