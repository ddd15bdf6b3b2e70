//! What a cluster stands on before anything runs: its folder with keys, certificates and kubeconfigs, and its port. A temporary
//! folder is locked while it is used; one that a killed test left behind is removed by the next that makes one.

use std::fs::{self, DirBuilder, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::certificates::{Authority, SigningKey};
use super::kubeconfig::{self, Credentials};

/// Of temporary folders, so that left ones are recognised.
const PREFIX: &str = "wasmjob-cluster-";

/// Ports that the kernel gives to nobody who did not ask for them (those begin at 32768), and that are no Service's node port.
/// An API server that is stopped for a while finds its port still free, and no client connects to itself meanwhile.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;

/// The kernel's bound for the name of a socket, without etcd's own part of it.
const LONGEST_FOLDER: usize = 107 - "/etcd-peers:0".len();

/// Folder, keys and port.
pub(super) struct Ground {
    folder: Folder,
    authority: String,
    port: u16,
}

enum Folder {
    Kept(PathBuf),
    // The lock is given back when the file is closed, after the folder is gone.
    Temporary(TempDir, #[expect(dead_code, reason = "it is held, not read")] File),
}

impl Ground {
    /// Keys and certificates are new each time; data that is in a kept folder stays.
    pub(super) fn new(folder: Option<&Path>) -> anyhow::Result<Self> {
        let folder = match folder {
            Some(folder) => kept(folder)?,
            None => temporary()?,
        };
        let authority = Authority::new()?;
        let ground = Self { folder, authority: authority.certificate(), port: free_port()? };
        ground.write("ca.crt", &ground.authority)?;
        let tokens = SigningKey::new()?;
        ground.write("service-accounts.key", &tokens.private)?;
        ground.write("service-accounts.pub", &tokens.public)?;
        let server = authority.server()?;
        ground.write("server.crt", &server.certificate)?;
        ground.write("server.key", &server.key)?;
        let users = [
            ("admin", "wasmjob-admin", Some("system:masters")),
            ("kube-controller-manager", "system:kube-controller-manager", None),
            ("kube-scheduler", "system:kube-scheduler", None),
        ];
        for (name, user, group) in users {
            let pair = authority.client(user, group)?;
            ground.write_kubeconfig(name, "default", Credentials::Certificate(&pair))?;
        }
        Ok(ground)
    }

    pub(super) fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Kept(folder) => folder,
            Folder::Temporary(folder, _) => folder.path(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub(super) fn server(&self) -> String {
        format!("https://{}", self.address())
    }

    pub(super) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.kubeconfig"))
    }

    pub(super) fn write_kubeconfig(&self, name: &str, namespace: &str, credentials: Credentials<'_>) -> anyhow::Result<PathBuf> {
        self.write_kubeconfig_for(&self.server(), name, namespace, credentials)
    }

    /// As [`Ground::write_kubeconfig`], for somebody who reaches the API server by another URL.
    pub(super) fn write_kubeconfig_for(
        &self,
        server: &str,
        name: &str,
        namespace: &str,
        credentials: Credentials<'_>,
    ) -> anyhow::Result<PathBuf> {
        let path = self.kubeconfig(name);
        kubeconfig::write_secret(&path, &kubeconfig::content(server, &self.authority, namespace, credentials))?;
        Ok(path)
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        kubeconfig::write_secret(&self.path(name), content)
    }
}

fn kept(folder: &Path) -> anyhow::Result<Folder> {
    if folder.as_os_str().len() > LONGEST_FOLDER {
        bail!("the path of {} is too long for a socket in it: {LONGEST_FOLDER} bytes at most", folder.display());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("failed to create {}", folder.display()))?;
    Ok(Folder::Kept(folder.to_owned()))
}

fn temporary() -> anyhow::Result<Folder> {
    sweep(&std::env::temp_dir());
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().context("failed to create a folder")?;
    // It gets the name that others look for once it is locked.
    let unlocked = folder.path().join("lock.new");
    let lock = File::create(&unlocked).context("failed to create a lock")?;
    lock.lock().context("failed to lock a folder")?;
    fs::rename(&unlocked, lock_of(folder.path())).context("failed to name a lock")?;
    Ok(Folder::Temporary(folder, lock))
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// Removes what killed tests left: they hold no lock any more. What cannot be removed (another user's) is not ours to complain of.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let left = ours && File::open(lock_of(&entry.path())).is_ok_and(|lock| lock.try_lock().is_ok());
        if left {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A port that nobody listens on now. Chosen at random, so that two who look at once seldom meet.
fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let mut random = [0; 2];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).context("no random numbers")?;
        let port = FIRST_PORT + u16::from_ne_bytes(random) % PORTS;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST_PORT} and {}", FIRST_PORT + PORTS)
}

#[cfg(test)]
mod tests;
