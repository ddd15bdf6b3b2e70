//! Finds the real programs in the cache, at the version that their `go.mod` pins. Builds nothing: `cargo xtask components` does.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::config;

/// A program under `components/`.
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) module: &'static str,
    pub(crate) go_mod: &'static str,
}

impl Component {
    /// The built program.
    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        let version = self.version().with_context(|| format!("the go.mod of {} requires no {}", self.name, self.module))?;
        let program = config::cache()?.join("bin").join(format!("{}-{version}", self.name));
        if !program.is_file() {
            bail!("{} is missing: run `cargo xtask components`", program.display());
        }
        Ok(program)
    }

    /// What `xtask/src/components.rs` reads from the same line.
    fn version(&self) -> Option<&str> {
        self.go_mod.lines().find_map(|line| {
            let line = line.trim().trim_start_matches("require").trim_start();
            line.strip_prefix(self.module)?.strip_prefix(' ')?.split_whitespace().next()
        })
    }
}
