//! The Landlock domain of a process: the files it can reach, from the moment it enters on. Never wider again, and inherited by what it
//! starts.
//!
//! Landlock knows nothing of stat, chmod, chown or times: those are `filter`'s, or open to all (names and sizes).

use std::os::fd::{AsFd, BorrowedFd};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};

use super::Error;
use crate::order::Preopen;

/// The first version in which truncating a file is a right of its own: without it an input could be emptied.
const LEAST: ABI = ABI::V3;
/// The newest version that is known here. What the kernel has less of is left out, which `LEAST` bounds.
const NEWEST: ABI = ABI::V9;

/// A domain that is being drawn up: nothing can be reached in it but what is allowed before it is entered.
#[derive(Debug)]
pub(super) struct Domain(RulesetCreated);

// === impl Domain ===

impl Domain {
    /// No file, no TCP port, no abstract socket, no signal to anybody outside.
    pub(super) fn empty() -> Result<Self, Error> {
        draw().map(Self).map_err(Error::Domain)
    }

    /// Lets the directories of an order be reached, and the file of its compiled module be opened again, which is how components are
    /// loaded.
    pub(super) fn allow(mut self, compiled: BorrowedFd<'_>, preopens: &[Preopen]) -> Result<Self, Error> {
        self = self.rule(compiled, AccessFs::ReadFile.into())?;
        for preopen in preopens {
            let directory = PathFd::new(&preopen.host).map_err(|source| Error::Directory { path: preopen.host.clone(), source })?;
            self = self.rule(directory.as_fd(), rights(preopen.writable))?;
        }
        Ok(self)
    }

    pub(super) fn enter(self) -> Result<(), Error> {
        self.0.restrict_self().map(drop).map_err(Error::Domain)
    }

    fn rule(self, place: BorrowedFd<'_>, rights: BitFlags<AccessFs>) -> Result<Self, Error> {
        self.0.add_rule(PathBeneath::new(place, rights)).map(Self).map_err(Error::Domain)
    }
}

/// Whether this kernel has what `LEAST` asks for.
pub(super) fn is_there() -> bool {
    draw().is_ok()
}

fn draw() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

/// What a guest may do in a directory of its own. Files move and are linked (`Refer`) only between directories that it writes: never out
/// of an input.
fn rights(writable: bool) -> BitFlags<AccessFs> {
    if !writable {
        return AccessFs::ReadFile | AccessFs::ReadDir;
    }
    let never = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::MakeFifo;
    AccessFs::from_all(LEAST) & !never
}
