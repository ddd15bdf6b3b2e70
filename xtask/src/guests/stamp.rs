//! Tells whether the built modules are still those of their sources. The stamp is written last, so an interrupted build has
//! none; a module that was changed by hand no longer fits it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

const FILE: &str = "stamp";

/// What the modules are made from, as one digest.
pub(super) struct Stamp(String);

impl Stamp {
    /// The product's own `Cargo.lock` counts, because it pins what makes components.
    pub(super) fn of(examples: &Path, packages: &str, go_version: &str) -> anyhow::Result<Self> {
        let recipe = [include_str!("../guests.rs"), include_str!("toolchain.rs"), include_str!("component.rs")];
        let lock = examples.with_file_name("Cargo.lock");
        let mut hash = Sha256::new();
        for part in [packages, go_version].into_iter().chain(recipe) {
            add(&mut hash, part.as_bytes());
        }
        add(&mut hash, &fs::read(&lock).with_context(|| format!("failed to read {}", lock.display()))?);
        for path in sources(examples)? {
            let source = examples.join(&path);
            add(&mut hash, path.as_os_str().as_encoded_bytes());
            add(&mut hash, &fs::read(&source).with_context(|| format!("failed to read {}", source.display()))?);
        }
        Ok(Self(hex::encode(hash.finalize())))
    }

    pub(super) fn is_current(&self, built: &Path, modules: &[String]) -> bool {
        let written = fs::read_to_string(built.join(FILE));
        matches!((written, self.text(built, modules)), (Ok(written), Ok(text)) if written == text)
    }

    pub(super) fn write(&self, built: &Path, modules: &[String]) -> anyhow::Result<()> {
        let path = built.join(FILE);
        fs::write(&path, self.text(built, modules)?).with_context(|| format!("failed to write {}", path.display()))
    }

    fn text(&self, built: &Path, modules: &[String]) -> anyhow::Result<String> {
        let modules = modules.iter().map(|module| Ok(format!("{} {module}\n", digest(&built.join(module))?)));
        Ok(format!("{} sources\n{}", self.0, modules.collect::<anyhow::Result<String>>()?))
    }
}

/// Length first, so that no two lists of parts have the same bytes.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn digest(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// The sources below the folder, sorted, relative to it.
pub(super) fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let here = folder.join(&below);
        let entries = fs::read_dir(&here).with_context(|| format!("failed to list {}", here.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("failed to list {}", here.display()))?;
            let path = below.join(entry.file_name());
            if entry.path().is_dir() {
                if path != Path::new("target") {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|end| ["rs", "toml", "lock", "c", "h", "go", "mod", "sum"].iter().any(|known| end == *known))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
