//! What a user waits for: `wasmjob run` as a whole process, warm and cold.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use e2e::bench::{Figure, Promise, Row, Unit};

use crate::{built, checkout, measure_all, timed};

/// One command line, run again and again.
struct Run {
    program: PathBuf,
    module: PathBuf,
    stdin: PathBuf,
    folder: PathBuf,
}

pub(super) fn figures(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    let run = |module: &str, stdin: PathBuf, name: &str| {
        anyhow::Ok(Run { program: built("wasmjob")?, module: checkout(module), stdin, folder: folder.join(name) })
    };
    let echo = run("examples/echo/echo.wasm", "/dev/null".into(), "echo")?;
    let event = checkout("examples/pca-svg/event.json");
    let cold = run("examples/pca-svg/pca-svg.wasm", event.clone(), "cold")?;
    let warm = run("examples/pca-svg/pca-svg.wasm", event, "warm")?;
    let rows = vec![
        Row {
            name: "warm `wasmjob run` of a module of 72 kB, the whole process; bare: a process that does nothing",
            unit: Unit::Milliseconds,
            ours: Box::new(move || echo.once()),
            bare: Some(Box::new(|| timed(&mut Command::new("true")).map(|(took, _)| took))),
            rounds: 60,
            promise: Promise::AtMost(40.0),
        },
        Row {
            name: "start of the PCA module (247 kB), compiled and run: cold ÷ warm (in the column of the bare)",
            unit: Unit::Milliseconds,
            ours: Box::new(move || cold.forget().and_then(|()| cold.once())),
            bare: Some(Box::new(move || warm.once())),
            rounds: 10,
            promise: Promise::None,
        },
    ];
    measure_all(rows)
}

// === impl Run ===

impl Run {
    /// Milliseconds of the whole process.
    fn once(&self) -> anyhow::Result<f64> {
        let stdin = File::open(&self.stdin).with_context(|| format!("failed to open {}", self.stdin.display()))?;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--cache-dir").arg(self.folder.join("cache")).arg("--output-dir").arg(self.folder.join("outputs"));
        timed(command.arg(&self.module).stdin(stdin).env_clear()).map(|(took, _)| took)
    }

    /// Empties its cache.
    fn forget(&self) -> anyhow::Result<()> {
        match std::fs::remove_dir_all(self.folder.join("cache")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("failed to empty the cache"),
            _ => Ok(()),
        }
    }
}
