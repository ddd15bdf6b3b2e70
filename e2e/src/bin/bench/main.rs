//! The benchmark program behind `cargo xtask bench`: prints the table of docs/benchmarks.md with the load before and after, and fails if
//! a promise is broken. Arguments choose rows by a part of their name.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use e2e::bench::{Comparison, Way, compare, load, table};
use e2e::{Answer, Server};

const MEBIBYTE: usize = 1 << 20;

fn main() -> ExitCode {
    match bench(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise is kept.
fn bench(chosen: &[String]) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir().context("failed to create a folder")?;
    let server = Server::start().context("failed to start the HTTP server")?;
    let big = folder.path().join("big");
    write_big(&big, 256)?;
    let url = server.answer("/big", Answer::file(&big));
    let copy = folder.path().join("copy");

    // Not a promise to users: it shows that the server of the fetching rows is not what they measure.
    let mut rows = vec![Comparison {
        name: "256 MiB from the tests' HTTP server by curl ÷ cp",
        ours: command(move || quiet(Command::new("curl").args(["--silent", "--fail", "--output", "/dev/null", &url]))),
        bare: command(move || quiet(Command::new("cp").args([&big, &copy]))),
        rounds: 5,
        at_most: 3.0,
    }];
    rows.retain(|row| chosen.is_empty() || chosen.iter().any(|part| row.name.contains(part.as_str())));

    println!("{}", load());
    let figures = rows.iter_mut().map(compare).collect::<anyhow::Result<Vec<_>>>()?;
    println!("{}\n{}", table(&figures), load());
    Ok(figures.iter().all(e2e::bench::Figure::holds))
}

fn write_big(path: &Path, mebibytes: usize) -> anyhow::Result<()> {
    let mut file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    let piece: Vec<u8> = (0..MEBIBYTE).map(|at| (at * 31 % 251).to_le_bytes()[0]).collect();
    for _ in 0..mebibytes {
        file.write_all(&piece).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

/// A way that runs programs and is timed from outside.
fn command<'a>(run: impl Fn() -> anyhow::Result<()> + 'a) -> Way<'a> {
    Box::new(move || {
        let started = Instant::now();
        run()?;
        Ok::<Duration, anyhow::Error>(started.elapsed())
    })
}

fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("failed to start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
