//! The members of the workspace, as `cargo metadata` tells them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::config;

/// One crate of ours.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its manifest lies.
    pub(super) folder: PathBuf,
    /// The first file of each library, program, test, …
    pub(super) roots: Vec<PathBuf>,
    /// Names in its manifest, for any use.
    pub(super) dependencies: Vec<String>,
}

/// Reads all of them.
pub(super) fn members() -> anyhow::Result<Vec<Member>> {
    let output = Command::new(config::cargo())
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(config::root())
        .output()
        .context("failed to start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    packages.iter().map(|package| member(package).context("cargo metadata describes a package in an unknown way")).collect()
}

fn member(package: &Value) -> Option<Member> {
    let each = |list: &str, field: &str| -> Option<Vec<String>> {
        package[list].as_array()?.iter().map(|item| item[field].as_str().map(str::to_owned)).collect()
    };
    Some(Member {
        name: package["name"].as_str()?.to_owned(),
        folder: Path::new(package["manifest_path"].as_str()?).parent()?.to_owned(),
        roots: each("targets", "src_path")?.into_iter().map(PathBuf::from).collect(),
        dependencies: each("dependencies", "name")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_crate_is_a_member_with_its_root_and_dependencies() {
        let members = members().expect("cargo metadata runs");
        let ours = members.iter().find(|member| member.name == "xtask").expect("xtask is a member");
        assert_eq!(ours.roots, [config::root().join("xtask/src/main.rs")]);
        assert!(ours.dependencies.iter().any(|name| name == "clap"), "{ours:?}");
    }
}
