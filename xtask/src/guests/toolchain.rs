//! The toolchain that guests are built with: Rust's wasm targets, clang and wasi-libc from one Debian release, installed once
//! into a folder of the cache and run there by `chroot`. So a guest's bytes depend neither on the machine's own compilers nor
//! on where the checkout lies. Crates are vendored by the machine's cargo with its own configuration; inside, cargo is offline.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, bail};

use super::stamp;
use crate::{config, packages, run};

const RELEASE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";
const PACKAGES: [&str; 7] = ["rustc", "cargo", "libstd-rust-dev-wasm32", "lld", "clang", "wasi-libc", "libclang-rt-19-dev-wasm32"];
/// Package and upstream version of what decides a module's bytes. Debian's own revisions may go on.
const VERSIONS: [(&str, &str); 5] = [
    ("rustc", "1.85."),
    ("libstd-rust-dev-wasm32", "1.85."),
    ("clang-19", "1:19.1."),
    ("lld-19", "1:19.1."),
    ("wasi-libc", "0.0~git20241209."),
];
/// Of the installed folder; raised when `PACKAGES` change.
const EDITION: u32 = 1;
/// Beginning of the name of a folder that is being installed.
const PARTIAL: &str = "partial-";
/// Where sources, crates and targets lie, seen from inside.
const BUILD: &str = "/build";

/// Of the cargo inside. Debian's rustc knows no linker for these targets; paths are named from where the sources lie.
const CARGO_CONFIG: &str = r#"
[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "/build/vendor"

[build]
target-dir = "/build/target"

[target.'cfg(target_os = "wasi")']
linker = "wasm-ld"
rustflags = ["-Clinker-flavor=wasm-ld", "--remap-path-prefix=/build/vendor/=", "--remap-path-prefix=/build/examples/="]
"#;

pub(super) struct Toolchain {
    root: PathBuf,
    /// One line `PACKAGE VERSION` for each of `VERSIONS`.
    pub(super) packages: String,
    /// One build at a time: its folders are shared by all checkouts. Released when dropped.
    _lock: File,
}

impl Toolchain {
    /// Installs it unless it is there.
    pub(super) fn ready(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        let lock_file = folder.join("lock");
        let lock = File::create(&lock_file).with_context(|| format!("failed to create {}", lock_file.display()))?;
        lock.lock().with_context(|| format!("failed to lock {}", lock_file.display()))?;
        let root = folder.join(format!("{RELEASE}-{EDITION}"));
        if !root.exists() {
            install(folder, &root)?;
        }
        let packages = versions(&root)?;
        Ok(Self { root, packages, _lock: lock })
    }

    /// Copies the sources in and vendors their crates. What has not changed keeps its time, so cargo builds only the rest.
    pub(super) fn take_sources(&self, examples: &Path, afresh: bool) -> anyhow::Result<()> {
        let inside = self.inside("");
        if afresh && inside.exists() {
            fs::remove_dir_all(&inside).with_context(|| format!("failed to empty {}", inside.display()))?;
        }
        let to = self.inside("examples");
        fs::create_dir_all(&to).with_context(|| format!("failed to create {}", to.display()))?;
        let wanted = stamp::sources(examples)?;
        for old in stamp::sources(&to)?.iter().filter(|old| !wanted.contains(old)) {
            fs::remove_file(to.join(old)).with_context(|| format!("failed to remove {}", to.join(old).display()))?;
        }
        for path in &wanted {
            let source = examples.join(path);
            let bytes = fs::read(&source).with_context(|| format!("failed to read {}", source.display()))?;
            write_changed(&bytes, &to.join(path))?;
        }
        write_changed(CARGO_CONFIG.as_bytes(), &self.inside(".cargo/config.toml"))?;
        run::run(
            Command::new(config::cargo())
                .args(["vendor", "--quiet", "--locked", "--versioned-dirs"])
                .arg(self.inside("vendor"))
                .current_dir(examples)
                .stdout(std::process::Stdio::null()),
        )
    }

    /// Builds the packages for the target.
    pub(super) fn cargo<'a>(&self, target: &str, packages: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
        let mut command = self.command("cargo");
        command.args(["build", "--release", "--locked", "--offline", "--target", target]);
        for package in packages {
            command.args(["--package", package]);
        }
        run::run(&mut command)
    }

    /// The module that cargo has built.
    pub(super) fn built(&self, target: &str, name: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.inside(&format!("target/{target}/release/{name}.wasm"));
        fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
    }

    /// Builds one C file, named relative to `examples/`.
    pub(super) fn clang(&self, source: &str) -> anyhow::Result<Vec<u8>> {
        let mut command = self.command("clang");
        command.args(["--target=wasm32-wasi", "-std=c17", "-Os", "-flto", "-Wall", "-Wextra", "-Werror", "-Wl,--strip-debug", "-o"]);
        command.arg(format!("{BUILD}/c.wasm")).arg(source);
        run::run(&mut command)?;
        let module = self.inside("c.wasm");
        fs::read(&module).with_context(|| format!("failed to read {}", module.display()))
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.root.join(&BUILD[1..]).join(path)
    }

    /// A program of the toolchain, in the folder of the sources, with an environment of its own and no variable of ours.
    fn command(&self, program: &str) -> Command {
        let mut command = chroot(&self.root);
        command.arg(format!("--chdir={BUILD}/examples")).args(["--ignore-environment", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"]);
        command.arg(format!("HOME={BUILD}")).arg(program);
        command
    }
}

/// Runs `env` inside, to which the caller hands its arguments.
fn chroot(root: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg("/usr/bin/env");
    command
}

/// The folder gets its name when it is complete. Until then it has one of its own, because programs of an interrupted installation
/// may still be writing into theirs.
fn install(folder: &Path, root: &Path) -> anyhow::Result<()> {
    // The keys verify every package of the release.
    packages::ready("debootstrap", &["debootstrap", "debian-archive-keyring"], "the guests' toolchain")?;
    remove_partial(folder)?;
    let partial = folder.join(format!("{PARTIAL}{}", std::process::id()));
    run::run(
        Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={}", PACKAGES.join(",")), RELEASE])
            .arg(&partial)
            .arg(MIRROR)
            .stdout(std::process::Stdio::null()),
    )
    .with_context(|| format!("failed to install the guests' toolchain; {}/debootstrap/debootstrap.log says more", partial.display()))?;
    versions(&partial)?;
    for unneeded in ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"] {
        run::run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(partial.join(unneeded)))?;
    }
    fs::rename(&partial, root).with_context(|| format!("failed to rename {}", partial.display()))
}

/// Removes what interrupted installations left, as far as it can. They may have left the kernel's file systems mounted below.
fn remove_partial(folder: &Path) -> anyhow::Result<()> {
    let context = || format!("failed to list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let removed = run::run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(entry.path()));
            if let Err(error) = removed {
                eprintln!("left where it is: {error}");
            }
        }
    }
    Ok(())
}

/// The versions that `VERSIONS` asks for, or an error that names the first that differs.
fn versions(root: &Path) -> anyhow::Result<String> {
    let Output { status, stdout, stderr } = chroot(root)
        .args(["dpkg-query", "--show", "--showformat=${Package} ${Version}\n"])
        .args(VERSIONS.map(|(name, _)| name))
        .output()
        .context("failed to run chroot")?;
    if !status.success() {
        bail!("failed to ask {} for its versions (chroot needs root): {}", root.display(), String::from_utf8_lossy(&stderr).trim());
    }
    let lines = String::from_utf8_lossy(&stdout).into_owned();
    for (name, wanted) in VERSIONS {
        let version = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap_or("missing");
        if !version.starts_with(wanted) {
            bail!(
                "the guests are built with {name} {wanted}x, {} has {version}: remove that folder to install it again; \
                 if it stays so, Debian's {RELEASE} has moved on",
                root.display()
            );
        }
    }
    Ok(lines)
}

fn write_changed(bytes: &[u8], to: &Path) -> anyhow::Result<()> {
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = to.parent().expect("a source lies in a folder");
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    fs::write(to, bytes).with_context(|| format!("failed to write {}", to.display()))
}
