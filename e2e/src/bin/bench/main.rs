//! The benchmark program behind `cargo xtask bench`: prints the table of docs/benchmarks.md with the load before and after, and fails if
//! a promise is broken. Arguments choose groups of rows: `guests`, `dispatch`, `command`, `fetch`, `cluster`.

mod cluster;
mod command;
mod dispatch;
mod fetch;
mod guests;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use e2e::bench::{Figure, Row, TABLE_HEAD, load, measure, milliseconds, table_row};

/// Measures its rows in a folder of its own.
type Group = fn(&Path) -> anyhow::Result<Vec<Figure>>;

const GROUPS: [(&str, Group); 5] = [
    ("guests", guests::figures),
    ("dispatch", dispatch::figures),
    ("command", command::figures),
    ("fetch", fetch::figures),
    ("cluster", cluster::figures),
];

fn main() -> ExitCode {
    // This program is the runner's zygote and compiler too.
    runner::role::enter();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == fetch::ALONE => fetch::alone(rest).map(|()| true),
        _ => bench(&arguments),
    };
    match done {
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
    if let Some(unknown) = chosen.iter().find(|name| GROUPS.iter().all(|(group, _)| group != name)) {
        bail!("there is no group {unknown:?}: name some of {}", GROUPS.map(|(group, _)| group).join(", "));
    }
    let before = load();
    let mut figures = Vec::new();
    for (name, group) in GROUPS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            let folder = tempfile::tempdir().context("failed to create a folder")?;
            figures.extend(group(folder.path()).with_context(|| format!("group {name}"))?);
        }
    }
    println!("{before}\n\n{TABLE_HEAD}");
    for figure in &figures {
        println!("{}", table_row(figure));
    }
    println!("\n{}", load());
    Ok(figures.iter().all(Figure::holds))
}

/// Measures rows one after the other, and tells of each as it is done: a whole table takes minutes.
fn measure_all(rows: Vec<Row<'_>>) -> anyhow::Result<Vec<Figure>> {
    let one = |mut row: Row<'_>| {
        let figure = measure(&mut row).with_context(|| row.name.to_owned())?;
        eprintln!("{}", table_row(&figure));
        Ok(figure)
    };
    rows.into_iter().map(one).collect()
}

/// Runs a program to its end, which must be a good one: milliseconds from its start to its end, and its stdout.
fn timed(command: &mut Command) -> anyhow::Result<(f64, String)> {
    let begun = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = child.and_then(std::process::Child::wait_with_output).with_context(|| format!("failed to run {command:?}"))?;
    let took = milliseconds(begun.elapsed());
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// A program that cargo built beside this one.
fn built(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("a running program has a path")?;
    let program = own.parent().context("programs lie in a folder")?.join(name);
    if !program.is_file() {
        bail!("{} is missing: run `cargo xtask bench`, which builds it", program.display());
    }
    Ok(program)
}

/// A file of the checkout.
fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace").join(path)
}

/// As the product's own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no async runtime")
}
