//! `guests`: builds every program under `examples/` into `examples/target/guests/`, with the pinned toolchain of
//! `guests/toolchain.rs` (Go builds its own). The few modules that are committed next to their sources are compared with what
//! was built, or replaced by it, and so are their digests in `manifests/samples/`. Nothing is built again while sources and toolchains are the same.
//! Does not run the guests: tests do.

mod component;
mod samples;
mod stamp;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{config, run};
use stamp::Stamp;
use toolchain::Toolchain;

#[derive(Clone, Copy, Default, clap::Args)]
pub(crate) struct Options {
    /// Fail if a committed module is not, byte for byte, what its source builds to.
    #[arg(long)]
    pub(crate) check: bool,
    /// Replace the committed modules by what was built, and the digests in the samples.
    #[arg(long, conflicts_with = "check")]
    pub(crate) update: bool,
    /// Build from nothing, even if nothing has changed.
    #[arg(long)]
    pub(crate) rebuild: bool,
}

/// One program under `examples/` and how it becomes `NAME.wasm`.
struct Guest {
    name: &'static str,
    folder: &'static str,
    build: Build,
    /// Whether the module is committed as `FOLDER/NAME.wasm`.
    committed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Build {
    /// cargo, for `wasm32-wasip1`.
    Rust,
    /// cargo, for `wasm32-wasip2`, then made a component.
    Component,
    /// clang and wasi-libc, one file.
    C,
    /// The machine's Go, `GOOS=wasip1`. Its version is not pinned, so its modules are never committed.
    Go,
}

const GUESTS: [Guest; 9] = [
    Guest { name: "cat", folder: "cat", build: Build::Rust, committed: true },
    Guest { name: "checksum", folder: "checksum-go", build: Build::Go, committed: false },
    Guest { name: "component", folder: "component", build: Build::Component, committed: true },
    Guest { name: "echo", folder: "echo", build: Build::Rust, committed: true },
    Guest { name: "fibonacci", folder: "fibonacci", build: Build::Rust, committed: true },
    Guest { name: "hello-json", folder: "hello-json", build: Build::Rust, committed: true },
    Guest { name: "pca-svg", folder: "pca-svg", build: Build::Rust, committed: true },
    Guest { name: "seam-carver", folder: "seam-carver", build: Build::Rust, committed: true },
    Guest { name: "wordcount", folder: "wordcount-c", build: Build::C, committed: true },
];

/// Packages and versions that the committed modules were built by, written with them.
const RECORD: &str = "toolchain.txt";

/// Builds what is out of date. Returns the folder with all modules.
pub(crate) fn build(options: Options) -> anyhow::Result<PathBuf> {
    let examples = config::root().join("examples");
    let built = examples.join("target/guests");
    let toolchain = Toolchain::ready(&config::cache()?.join("guest-toolchain"))?;
    let stamp = Stamp::of(&examples, &toolchain.packages, &go_version()?)?;
    if options.rebuild || !stamp.is_current(&built, &GUESTS.each_ref().map(file_name)) {
        build_all(&examples, &built, &toolchain, options.rebuild)?;
        stamp.write(&built, &GUESTS.each_ref().map(file_name))?;
    }
    if options.update {
        update(&examples, &built, &toolchain)?;
    }
    if options.check {
        check(&examples, &built, &toolchain)?;
    }
    Ok(built)
}

fn build_all(examples: &Path, built: &Path, toolchain: &Toolchain, afresh: bool) -> anyhow::Result<()> {
    if built.exists() {
        fs::remove_dir_all(built).with_context(|| format!("failed to empty {}", built.display()))?;
    }
    fs::create_dir_all(built).with_context(|| format!("failed to create {}", built.display()))?;
    toolchain.take_sources(examples, afresh)?;
    let packages = |build| GUESTS.iter().filter(move |guest| guest.build == build).map(|guest| guest.name);
    toolchain.cargo("wasm32-wasip1", packages(Build::Rust))?;
    toolchain.cargo("wasm32-wasip2", packages(Build::Component))?;
    for guest in &GUESTS {
        let module = match guest.build {
            Build::Rust => toolchain.built("wasm32-wasip1", guest.name)?,
            Build::Component => component::encode(&toolchain.built("wasm32-wasip2", guest.name)?)
                .with_context(|| format!("failed to make a component of {}", guest.name))?,
            Build::C => toolchain.clang(&format!("{}/{}.c", guest.folder, guest.name))?,
            Build::Go => go_build(&examples.join(guest.folder), &built.join(file_name(guest)))?,
        };
        let path = built.join(file_name(guest));
        fs::write(&path, module).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(())
}

fn go_build(folder: &Path, module: &Path) -> anyhow::Result<Vec<u8>> {
    run::run(
        Command::new("go")
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
            .arg(module)
            .arg(".")
            .current_dir(folder)
            .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0"), ("GOWORK", "off"), ("GOFLAGS", "-mod=readonly")]),
    )?;
    fs::read(module).with_context(|| format!("failed to read {}", module.display()))
}

fn go_version() -> anyhow::Result<String> {
    let output = Command::new("go").arg("version").output().context("failed to run `go version`: install Go 1.24 or newer")?;
    if !output.status.success() {
        bail!("`go version` ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn update(examples: &Path, built: &Path, toolchain: &Toolchain) -> anyhow::Result<()> {
    for guest in GUESTS.iter().filter(|guest| guest.committed) {
        let to = examples.join(guest.folder).join(file_name(guest));
        fs::copy(built.join(file_name(guest)), &to).with_context(|| format!("failed to write {}", to.display()))?;
    }
    let record = examples.join(RECORD);
    fs::write(&record, &toolchain.packages).with_context(|| format!("failed to write {}", record.display()))?;
    samples::update(&samples_folder(), examples)
}

/// Names every committed module that differs, and whether the toolchain may be why, and every sample with another digest.
fn check(examples: &Path, built: &Path, toolchain: &Toolchain) -> anyhow::Result<()> {
    let mut differing = Vec::new();
    for guest in GUESTS.iter().filter(|guest| guest.committed) {
        let committed = stamp::digest(&examples.join(guest.folder).join(file_name(guest))).unwrap_or_else(|_| "missing".to_owned());
        let rebuilt = stamp::digest(&built.join(file_name(guest)))?;
        if committed != rebuilt {
            let file = file_name(guest);
            differing.push(format!("examples/{}/{file}: committed {committed}, its source builds to {rebuilt}", guest.folder));
        }
    }
    let record = fs::read_to_string(examples.join(RECORD)).unwrap_or_default();
    if !differing.is_empty() && record != toolchain.packages {
        differing.push(format!("(they were built with\n{record}and this machine has\n{})", toolchain.packages));
    }
    differing.extend(samples::differing(&samples_folder(), examples)?);
    if differing.is_empty() {
        return Ok(());
    }
    bail!("committed files are out of date:\n{}\nrun `cargo xtask guests --update` and commit what it writes", differing.join("\n"))
}

fn samples_folder() -> PathBuf {
    config::root().join("manifests/samples")
}

fn file_name(guest: &Guest) -> String {
    format!("{}.wasm", guest.name)
}
