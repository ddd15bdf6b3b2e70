//! Every `.rs` file of a member is reached from a crate root. A file that no `mod` line names compiles nowhere, so it rots
//! unseen, and tests in it never run. Reads `mod` lines as rustfmt writes them; modules with a body may not declare files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Finding, Member};

pub(super) fn findings(members: &[Member], root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for member in members {
        for orphan in orphans(&member.folder, &member.roots)? {
            let path = orphan.strip_prefix(root).unwrap_or(&orphan).display().to_string();
            findings.push(format!("{path}: no crate root reaches it; add a `mod` line or delete it"));
        }
    }
    Ok(findings)
}

/// Files under the package's `src`, `tests`, `benches` and `examples` that no root reaches.
fn orphans(package: &Path, roots: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut reached = BTreeSet::new();
    for root in roots {
        let folder = root.parent().context("a crate root lies in a folder")?;
        reach(root, folder, &mut reached)?;
    }
    let mut all = BTreeSet::new();
    for folder in ["src", "tests", "benches", "examples"] {
        rust_files(&package.join(folder), &mut all)?;
    }
    Ok(all.difference(&reached).cloned().collect())
}

/// Adds the file and all that its `mod` lines name; `folder` is where its submodules lie.
fn reach(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    reached.insert(file.to_owned());
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    for declared in declared_modules(&text) {
        let candidates = match declared.path {
            Some(path) => vec![file.parent().context("a source file lies in a folder")?.join(path)],
            None => vec![folder.join(format!("{}.rs", declared.name)), folder.join(declared.name).join("mod.rs")],
        };
        if let Some(found) = candidates.into_iter().find(|candidate| candidate.is_file()) {
            reach(&found, &folder.join(declared.name), reached)?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Declared<'a> {
    name: &'a str,
    path: Option<&'a str>,
}

/// `mod name;` lines, with the `#[path]` attribute above them.
fn declared_modules(text: &str) -> Vec<Declared<'_>> {
    let mut path = None;
    let mut declared = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path = rest.split('"').next();
        } else if let Some(name) = module_name(line) {
            declared.push(Declared { name, path: path.take() });
        } else if !line.starts_with("#[") {
            path = None;
        }
    }
    declared
}

fn module_name(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches(|c| c != ' ').trim_start(),
        None => line,
    };
    line.strip_prefix("mod ")?.strip_suffix(';')
}

fn rust_files(folder: &Path, files: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))? {
        let path = entry.with_context(|| format!("failed to list {}", folder.display()))?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_lines_are_read_with_visibility_and_path() {
        let text = "//! mod prose;\nmod a;\npub mod b;\npub(crate) mod c;\n#[cfg(test)]\n#[path = \"x/y.rs\"]\nmod d;\nmod e {\n}\n";
        let plain = |name| Declared { name, path: None };
        let expected = [plain("a"), plain("b"), plain("c"), Declared { name: "d", path: Some("x/y.rs") }];
        assert_eq!(declared_modules(text), expected);
    }

    #[test]
    fn a_file_that_no_mod_line_names_is_an_orphan() {
        let package = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = package.path().join(path);
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("created");
            fs::write(&path, text).expect("written");
            path
        };
        let root = write("src/lib.rs", "mod fetch;\n");
        write("src/fetch.rs", "mod http;\n#[cfg(test)]\nmod tests;\n");
        write("src/fetch/http.rs", "");
        write("src/fetch/tests.rs", "");
        let forgotten = write("src/fetch/s3.rs", "");
        let test = write("tests/it/main.rs", "mod runs;\n");
        write("tests/it/runs.rs", "");
        let never_run = write("tests/it/gateways.rs", "");
        assert_eq!(orphans(package.path(), &[root, test]).expect("read"), [forgotten, never_run]);
    }
}
