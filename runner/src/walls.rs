//! The second wall around what a stranger controls: which walls there are, whether this kernel has them, and in what order a process
//! raises them.
//!
//! One file below for each wall; what each is made of, and why, is in `docs/security.md`. Decides nothing about guests.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod domain;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod raise;

use std::fmt;
use std::str::FromStr;

use crds::reason::Reason;
use serde::{Deserialize, Serialize};

#[cfg(not(target_os = "linux"))]
use self::elsewhere::is_there;
#[cfg(target_os = "linux")]
use self::raise::is_there;
#[cfg(target_os = "linux")]
pub(crate) use self::raise::{Confined, raise_in_compiler, raise_in_watchdog, raise_in_zygote};
use crate::failure::Failure;

/// A wall that a kernel may lack. Resource limits are everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wall {
    /// The files that a process can reach. Version 3 or newer, of Linux 6.2.
    Landlock,
    /// The system calls that it can make.
    Seccomp,
}

/// The walls that this runner's processes raise: all, but for those that the kernel lacks and the administrator lets it lack. One that
/// is to be raised and cannot be is the end of the process that tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Raised {
    pub(crate) landlock: bool,
    pub(crate) seccomp: bool,
}

/// Why a process does not go on without its walls.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to set {0}")]
    Limit(&'static str, #[source] std::io::Error),
    #[cfg(target_os = "linux")]
    #[error("failed to build the seccomp filter")]
    Build(#[source] seccompiler::BackendError),
    #[cfg(target_os = "linux")]
    #[error("failed to raise the seccomp filter")]
    Filter(#[source] seccompiler::Error),
    #[cfg(target_os = "linux")]
    #[error("failed to set up Landlock")]
    Domain(#[source] landlock::RulesetError),
    #[cfg(target_os = "linux")]
    #[error("failed to open {path} for Landlock")]
    Directory {
        path: String,
        #[source]
        source: landlock::PathFdError,
    },
    #[error("failed to let go of stderr")]
    Streams(#[source] std::io::Error),
}

/// The text is no wall's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no wall has this name: landlock and seccomp are the ones that may be lacking")]
pub struct UnknownWall;

/// Walls that this machine does not have.
pub fn missing() -> Vec<Wall> {
    Wall::ALL.into_iter().filter(|wall| !is_there(*wall)).collect()
}

/// What this runner's processes raise.
///
/// # Errors
/// `SandboxUnavailable`: a wall is missing that is not in `may_lack`.
pub(crate) fn survey(may_lack: &[Wall]) -> Result<Raised, Failure> {
    let missing = missing();
    let raised = choose(&missing, may_lack)?;
    for wall in missing {
        tracing::warn!(%wall, "this machine lacks a wall, as it may: guests run without it");
    }
    Ok(raised)
}

fn choose(missing: &[Wall], may_lack: &[Wall]) -> Result<Raised, Failure> {
    match missing.iter().find(|wall| !may_lack.contains(wall)) {
        Some(wall) => Err(Failure::new(
            Reason::SandboxUnavailable,
            format!(
                "this machine has no {}, and guests do not run without: use a kernel that has it, or allow this one to lack it \
                 (--may-lack-wall {wall})",
                wall.description()
            ),
        )),
        None => Ok(Raised { landlock: !missing.contains(&Wall::Landlock), seccomp: !missing.contains(&Wall::Seccomp) }),
    }
}

// === impl Raised ===

impl Raised {
    /// Every wall.
    pub(crate) const ALL: Self = Self { landlock: true, seccomp: true };
}

// === impl Wall ===

impl Wall {
    const ALL: [Self; 2] = [Self::Landlock, Self::Seccomp];

    const fn description(self) -> &'static str {
        match self {
            Self::Landlock => "Landlock (the wall around files; in Linux since 6.2, where it is switched on)",
            Self::Seccomp => "seccomp filters (the wall around system calls)",
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        })
    }
}

impl FromStr for Wall {
    type Err = UnknownWall;

    fn from_str(name: &str) -> Result<Self, UnknownWall> {
        Self::ALL.into_iter().find(|wall| wall.to_string() == name).ok_or(UnknownWall)
    }
}

// === impl Error ===

impl Error {
    /// As a status tells it.
    pub(crate) fn failure(&self) -> Failure {
        Failure::new(Reason::SandboxUnavailable, format!("guests do not run without their walls: {}", crate::failure::chain(self)))
    }
}

#[cfg(test)]
mod tests;
