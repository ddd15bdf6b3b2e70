//! `generate`: writes every file that is made from Rust, or with `--check` fails where one differs from its generator.
//! What is in them, and where they go, is `crds`' business.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::config;

/// Path from the root, and contents.
type File = (String, String);

/// Writes the files, or compares them.
pub(crate) fn generate(check: bool) -> anyhow::Result<()> {
    let (root, files) = (config::root(), crds::generated_files());
    if check {
        let differing = differing(&root, &files);
        if !differing.is_empty() {
            bail!("differ from their generator: {}; run `cargo xtask generate` and commit", differing.join(", "));
        }
        return Ok(());
    }
    for (path, contents) in &files {
        write(&root.join(path), contents).with_context(|| format!("failed to write {path}"))?;
    }
    Ok(())
}

fn differing(root: &Path, files: &[File]) -> Vec<String> {
    let differs = |(path, contents): &&File| fs::read_to_string(root.join(path)).ok().as_ref() != Some(contents);
    files.iter().filter(differs).map(|(path, _)| path.clone()).collect()
}

fn write(path: &Path, contents: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().expect("a generated file lies in a folder"))?;
    fs::write(path, contents)
}

#[cfg(test)]
mod tests;
