//! `tidy`: the rules of ARCHITECTURE.md and CONTRIBUTING.md that neither the compiler nor clippy can check.
//! Each rule is a function from what was read to a list of findings, with a test that shows that it can fail.

mod graph;
mod guarantees;
mod lock;
mod members;
mod names;
mod orphans;
mod text;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use self::members::Member;
use crate::config;

/// One thing that is not as it must be, with the remedy.
type Finding = String;

/// A file of the checkout: path below the root with `/`, and its bytes.
struct SourceFile {
    path: String,
    bytes: Vec<u8>,
}

impl SourceFile {
    /// The file as text; empty for a binary file.
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

/// Checks every rule and prints all findings.
pub(crate) fn tidy() -> anyhow::Result<()> {
    let root = config::root();
    let files = read_tree(&root)?;
    let members = members::members()?;

    let mut findings = graph::findings(&members)?;
    findings.extend(orphans::findings(&members, &root)?);
    findings.extend(files.iter().flat_map(text::findings));
    findings.extend(files.iter().filter(|file| file.is_rust()).flat_map(names::findings));
    findings.extend(guarantees::findings(&files));
    findings.extend(lock::findings(&files));
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    Ok(())
}

/// Every file of the checkout except what builds and runs leave behind.
fn read_tree(root: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("failed to list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() && name != "target" && name != ".git" && !name.ends_with("-outputs") {
                folders.push(path);
            } else if kind.is_file() && name != ".git" {
                files.push(read(root, &path)?);
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn read(root: &Path, path: &Path) -> anyhow::Result<SourceFile> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let below = path.strip_prefix(root).expect("the walk started there");
    Ok(SourceFile { path: below.to_string_lossy().into_owned(), bytes })
}

#[cfg(test)]
fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), bytes: text.as_bytes().to_owned() }
}
