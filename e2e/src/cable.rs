//! Two network namespaces of our own with one cable between them. A program in the one reaches nothing but what listens at the other end,
//! and nobody is told when the cable is cut: packets vanish, connections stay. They end with the value that stands for them, since nothing
//! but it and the programs in them holds them. Needs root; without that it says so.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// What listens is here.
const NEAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// A cable and what it joins.
pub struct Cable {
    /// Where programs are put.
    far: File,
    /// Where what they reach listens.
    near: File,
}

impl Cable {
    /// Makes both namespaces, and the cable whole.
    ///
    /// # Errors
    /// When this process may not, or has no `ip`.
    pub fn new() -> anyhow::Result<Self> {
        let cable = Self { far: namespace()?, near: namespace()? };
        let far = cable.path(&cable.far).display().to_string();
        cable.near_ip(&["link", "add", "name", "near", "type", "veth", "peer", "name", "far", "netns", &far])?;
        cable.near_ip(&["address", "add", &format!("{NEAR}/30"), "dev", "near"])?;
        cable.near_ip(&["link", "set", "dev", "near", "up"])?;
        for arguments in [
            &["address", "add", "10.0.0.2/30", "dev", "far"][..],
            &["link", "set", "dev", "far", "up"],
            &["link", "set", "dev", "lo", "up"],
        ] {
            within(&cable.far, || ip(arguments))??;
        }
        Ok(cable)
    }

    /// Listens at the near end, on a free port: programs at the far end reach it at its own address.
    ///
    /// # Errors
    /// When that is impossible.
    pub fn listen(&self) -> anyhow::Result<TcpListener> {
        within(&self.near, || TcpListener::bind((NEAR, 0)).context("failed to listen at the near end"))?
    }

    /// The same command, for a process at the far end.
    pub fn at_the_far_end(&self, command: &Command) -> Command {
        let mut moved = Command::new("nsenter");
        moved.arg(format!("--net={}", self.path(&self.far).display())).arg("--").arg(command.get_program()).args(command.get_args());
        moved.env_clear();
        for (name, value) in command.get_envs() {
            value.map(|value| moved.env(name, value));
        }
        moved
    }

    /// From now on nothing gets through.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn cut(&self) -> anyhow::Result<()> {
        self.near_ip(&["link", "set", "dev", "near", "down"])
    }

    /// From now on everything gets through again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.near_ip(&["link", "set", "dev", "near", "up"])
    }

    fn near_ip(&self, arguments: &[&str]) -> anyhow::Result<()> {
        within(&self.near, || ip(arguments))?
    }

    /// As other processes reach it as long as this one lives.
    #[expect(clippy::unused_self, reason = "the path is good as long as the cable is there")]
    fn path(&self, namespace: &File) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd()))
    }
}

/// A new network namespace with nothing in it.
fn namespace() -> anyhow::Result<File> {
    let made = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            #[expect(unsafe_code, reason = "of what can be unshared only file descriptors make it unsafe, and they stay shared")]
            let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNET) };
            unshared.context("no right to make a network namespace: this test runs as root (CAP_SYS_ADMIN, CAP_NET_ADMIN)")?;
            File::open("/proc/thread-self/ns/net").context("failed to open a network namespace")
        });
        thread.join()
    });
    made.unwrap_or_else(|_| bail!("the thread that makes a network namespace panicked"))
}

/// Does something on a thread of its own in that namespace.
fn within<T: Send>(namespace: &File, act: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .context("no right to enter a network namespace")?;
            Ok(act())
        });
        thread.join()
    });
    done.unwrap_or_else(|_| bail!("the thread in a network namespace panicked"))
}

/// In the namespace of the calling thread.
fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("failed to start ip: install iproute2")?;
    if !output.status.success() {
        bail!("ip {} ended with {}: {}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
