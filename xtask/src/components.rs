//! `components`: builds the real programs that tests run against, once, from pinned Go modules, into the cache outside the
//! checkout. Each has a folder under `e2e/components/` whose `go.mod` names the version and whose `go.sum` pins every byte;
//! one more program is one more folder and one more row of `COMPONENTS`.
//! Does not start them: that is `e2e`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{config, run};

/// One program and how it is made.
struct Component {
    /// Name of the file in the cache, before `-VERSION`.
    name: &'static str,
    /// Folder under `e2e/components/`; programs of one module share it.
    folder: &'static str,
    /// The Go module whose version in `go.mod` is the program's version.
    module: &'static str,
    /// The Go package that is the program.
    package: &'static str,
    /// Linker flags after `-s -w`; `{version}` is replaced.
    ldflags: &'static str,
    /// The program's usual name on `PATH` and the arguments that make it print its version; `None` where what it prints
    /// cannot be compared with a module version.
    installed: Option<(&'static str, &'static [&'static str])>,
}

const COMPONENTS: [Component; 2] = [
    Component {
        name: "minio",
        folder: "minio",
        module: "github.com/minio/minio",
        package: "github.com/minio/minio",
        ldflags: "",
        // Releases call themselves by date, builds of the module by nothing.
        installed: None,
    },
    Component {
        name: "kubo",
        folder: "kubo",
        module: "github.com/ipfs/kubo",
        package: "github.com/ipfs/kubo/cmd/ipfs",
        ldflags: "",
        installed: Some(("ipfs", &["version", "--number"])),
    },
];

/// Makes the named components ready, or all.
pub(crate) fn components(names: &[String]) -> anyhow::Result<()> {
    for name in names {
        if !COMPONENTS.iter().any(|component| component.name == name) {
            let known: Vec<_> = COMPONENTS.iter().map(|component| component.name).collect();
            bail!("no component {name:?}: there are {}", known.join(", "));
        }
    }
    let folder = config::cache()?.join("bin");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let wanted = |component: &&Component| names.is_empty() || names.iter().any(|name| name == component.name);
    for component in COMPONENTS.iter().filter(wanted) {
        ready(component, &folder).with_context(|| format!("failed to make {} ready", component.name))?;
    }
    Ok(())
}

/// Reuses, takes from `PATH` or builds. Two runs at once build once: the second waits for the lock and then reuses.
fn ready(component: &Component, folder: &Path) -> anyhow::Result<()> {
    let version = pinned_version(component)?;
    let program = folder.join(format!("{}-{version}", component.name));
    if program.is_file() {
        eprintln!("{} {version}: in the cache", component.name);
        return Ok(());
    }
    let lock_file = folder.join(format!("{}.lock", component.name));
    let lock = File::create(&lock_file).with_context(|| format!("failed to create {}", lock_file.display()))?;
    lock.lock().with_context(|| format!("failed to lock {}", lock_file.display()))?;
    if program.is_file() {
        return Ok(());
    }
    // Only a finished program gets the final name; the lock makes the temporary one ours.
    let unfinished = folder.join(format!("{}.unfinished", component.name));
    match installed(component, &version) {
        Some(found) => {
            eprintln!("{} {version}: taken from {}", component.name, found.display());
            fs::copy(&found, &unfinished).with_context(|| format!("failed to copy {}", found.display()))?;
        }
        None => build(component, &version, &unfinished)?,
    }
    fs::rename(&unfinished, &program).with_context(|| format!("failed to name {}", program.display()))
}

fn build(component: &Component, version: &str, to: &Path) -> anyhow::Result<()> {
    if config::on_path("go").is_none() {
        bail!(
            "go is not installed, and {} is built from its Go module: install Go 1.26 or newer (https://go.dev/doc/install; \
             the golang packages of distributions are often older)",
            component.name
        );
    }
    let ldflags = format!("-s -w {}", component.ldflags.replace("{version}", version));
    let built = run::run(
        Command::new("go")
            .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags.trim(), "-o"])
            .arg(to)
            .arg(component.package)
            .env("CGO_ENABLED", "0")
            .current_dir(source(component)),
    );
    built.with_context(|| format!("go 1.26 or newer is needed (https://go.dev/doc/install); this is {:?}", go_version()))
}

fn go_version() -> String {
    let output = Command::new("go").arg("version").output();
    output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The program of that version on `PATH`.
fn installed(component: &Component, version: &str) -> Option<PathBuf> {
    let (name, arguments) = component.installed?;
    let program = config::on_path(name)?;
    let output = Command::new(&program).args(arguments).output().ok()?;
    says(&String::from_utf8_lossy(&output.stdout), version).then_some(program)
}

fn says(output: &str, version: &str) -> bool {
    let bare = |word: &str| word.trim_start_matches('v').to_owned();
    output.split_whitespace().any(|word| bare(word) == bare(version))
}

fn source(component: &Component) -> PathBuf {
    config::root().join("e2e/components").join(component.folder)
}

fn pinned_version(component: &Component) -> anyhow::Result<String> {
    let go_mod = source(component).join("go.mod");
    let text = fs::read_to_string(&go_mod).with_context(|| format!("failed to read {}", go_mod.display()))?;
    version_in(&text, component.module).with_context(|| format!("{} requires no {}", go_mod.display(), component.module))
}

/// The version that a `go.mod` requires of a module. `e2e/src/components.rs` reads the same line.
fn version_in(go_mod: &str, module: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("require").trim_start();
        let version = line.strip_prefix(module)?.strip_prefix(' ')?;
        version.split_whitespace().next().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests;
