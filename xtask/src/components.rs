//! `components`: builds the real programs that tests run against, once, from pinned Go modules, into the cache outside the
//! checkout. Each has a folder under `e2e/components/` whose `go.mod` names the version and whose `go.sum` pins every byte;
//! one more program is one more folder and one more row of `COMPONENTS`.
//! Does not start them: that is `e2e`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{config, run};

/// One program and how it is made.
struct Component {
    /// Name of the file in the cache, before `-VERSION`.
    name: &'static str,
    /// Folder under `e2e/components/`; programs of one module share it and are built together.
    folder: &'static str,
    /// The Go module whose version in `go.mod` is the program's version.
    module: &'static str,
    /// The Go package that is the program.
    package: &'static str,
    /// Linker flags after `-s -w`, the same for all of a folder; `{version}` is replaced.
    ldflags: &'static str,
    /// The program's usual name and the arguments that make it print its version; `None` where what it prints
    /// cannot be compared with a module version.
    installed: Option<(&'static str, &'static [&'static str])>,
}

const COMPONENTS: [Component; 8] = [
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
    Component {
        name: "registry",
        folder: "distribution",
        module: "github.com/distribution/distribution/v3",
        package: "github.com/distribution/distribution/v3/cmd/registry",
        // What a build of the module calls itself cannot be compared; so is an installed one not looked for.
        ldflags: "",
        installed: None,
    },
    Component {
        name: "etcd",
        folder: "etcd",
        module: "go.etcd.io/etcd/server/v3",
        package: "go.etcd.io/etcd/server/v3",
        ldflags: "",
        installed: Some(("etcd", &["--version"])),
    },
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", &["--version"]),
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", &["--version"]),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", &["--version"]),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl", &["version", "--client"]),
];

/// A program of Kubernetes. What it says of itself (`gitVersion`, its own compatibility checks) is linked in.
const fn kubernetes(name: &'static str, package: &'static str, version: &'static [&'static str]) -> Component {
    Component {
        name,
        folder: "kubernetes",
        module: "k8s.io/kubernetes",
        package,
        ldflags: "-X k8s.io/component-base/version.gitVersion={version} -X k8s.io/component-base/version.gitMajor={major} \
                  -X k8s.io/component-base/version.gitMinor={minor} -X k8s.io/component-base/version.gitTreeState=clean",
        installed: Some((name, version)),
    }
}

/// Makes the named components ready, or all.
pub(crate) fn components(names: &[String]) -> anyhow::Result<()> {
    for name in names {
        if !COMPONENTS.iter().any(|component| component.name == name) {
            let known: Vec<_> = COMPONENTS.iter().map(|component| component.name).collect();
            bail!("no component {name:?}: there are {}", known.join(", "));
        }
    }
    let cache = config::cache()?.join("bin");
    fs::create_dir_all(&cache).with_context(|| format!("failed to create {}", cache.display()))?;
    let wanted = |component: &&Component| names.is_empty() || names.iter().any(|name| name == component.name);
    let mut folders: BTreeMap<&str, Vec<&Component>> = BTreeMap::new();
    for component in COMPONENTS.iter().filter(wanted) {
        folders.entry(component.folder).or_default().push(component);
    }
    for (folder, components) in folders {
        ready(folder, &components, &cache).with_context(|| format!("failed to make {folder} ready"))?;
    }
    Ok(())
}

/// Reuses, takes installed ones, or builds what is left of a folder. Two runs at once build once: the second waits for the
/// lock and then reuses.
fn ready(folder: &str, components: &[&Component], cache: &Path) -> anyhow::Result<()> {
    let absent = missing(components, cache)?;
    for component in components.iter().filter(|component| !absent.iter().any(|one| one.component.name == component.name)) {
        eprintln!("{} {}: in the cache", component.name, pinned_version(component)?);
    }
    if absent.is_empty() {
        return Ok(());
    }
    let lock_file = cache.join(format!("{folder}.lock"));
    let lock = File::create(&lock_file).with_context(|| format!("failed to create {}", lock_file.display()))?;
    lock.lock().with_context(|| format!("failed to lock {}", lock_file.display()))?;
    // Only a finished program gets the final name; the lock makes the temporary folder ours.
    let unfinished = cache.join(format!("{folder}.building"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("failed to remove {}", unfinished.display()))?;
    }
    fs::create_dir(&unfinished).with_context(|| format!("failed to create {}", unfinished.display()))?;
    let mut to_build = Vec::new();
    for program in missing(components, cache)? {
        match installed(program.component, &program.version) {
            Some(found) => take(&found, &unfinished, &program)?,
            None => to_build.push(program),
        }
    }
    build(&to_build, &unfinished)?;
    fs::remove_dir_all(&unfinished).with_context(|| format!("failed to remove {}", unfinished.display()))
}

/// A program that the cache has not, and the name that it shall have there.
struct Missing<'a> {
    component: &'a Component,
    version: String,
    program: PathBuf,
}

fn missing<'a>(components: &[&'a Component], cache: &Path) -> anyhow::Result<Vec<Missing<'a>>> {
    let mut missing = Vec::new();
    for component in components {
        let version = pinned_version(component)?;
        let program = cache.join(format!("{}-{version}", component.name));
        if !program.is_file() {
            missing.push(Missing { component, version, program });
        }
    }
    Ok(missing)
}

/// Copies an installed program.
fn take(found: &Path, unfinished: &Path, missing: &Missing<'_>) -> anyhow::Result<()> {
    eprintln!("{} {}: taken from {}", missing.component.name, missing.version, found.display());
    let copy = unfinished.join(missing.component.name);
    fs::copy(found, &copy).with_context(|| format!("failed to copy {}", found.display()))?;
    fs::rename(&copy, &missing.program).with_context(|| format!("failed to name {}", missing.program.display()))
}

/// Builds programs of one module in one go, so that what they share is compiled once.
fn build(programs: &[Missing<'_>], unfinished: &Path) -> anyhow::Result<()> {
    let Some(first) = programs.first() else { return Ok(()) };
    if config::on_path("go").is_none() {
        bail!(
            "go is not installed, and {} is built from its Go module: install Go 1.26 or newer (https://go.dev/doc/install; \
             the golang packages of distributions are often older)",
            first.component.name
        );
    }
    let ldflags = format!("-s -w {}", with_version(first.component.ldflags, &first.version));
    let mut folder = unfinished.as_os_str().to_owned();
    // go writes into a folder where the name ends like one.
    folder.push("/");
    let built = run::run(
        Command::new("go")
            .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags.trim(), "-o"])
            .arg(&folder)
            .args(programs.iter().map(|missing| missing.component.package))
            .env("CGO_ENABLED", "0")
            .current_dir(source(first.component)),
    );
    built.with_context(|| format!("go 1.26 or newer is needed (https://go.dev/doc/install); this is {:?}", go_version()))?;
    for missing in programs {
        let built = unfinished.join(executable(missing.component.package));
        fs::rename(&built, &missing.program).with_context(|| format!("failed to name {}", missing.program.display()))?;
    }
    Ok(())
}

/// The name that go gives to a package's program: the path's last element that is no major version.
fn executable(package: &str) -> &str {
    let is_name = |element: &&str| {
        let digits = element.strip_prefix('v').unwrap_or_default();
        digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    package.rsplit('/').find(is_name).unwrap_or(package)
}

fn with_version(ldflags: &str, version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    ldflags.replace("{version}", version).replace("{major}", major).replace("{minor}", minor)
}

fn go_version() -> String {
    let output = Command::new("go").arg("version").output();
    output.map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The program of that version in `KUBEBUILDER_ASSETS` or on `PATH`.
fn installed(component: &Component, version: &str) -> Option<PathBuf> {
    let (name, arguments) = component.installed?;
    let candidates = [config::kubebuilder_assets().map(|folder| folder.join(name)), config::on_path(name)];
    candidates.into_iter().flatten().find(|program| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| says(&String::from_utf8_lossy(&output.stdout), version))
    })
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
