//! Which process this is: the one the user started, or one that the runner started from the same executable.
//!
//! A role is chosen by `argv[0]`, which no shell user sets by accident.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;

use crate::process::{close_range, exit_now, keep_freed_memory, replace_stdin};
use crate::{compiler, zygote};

/// `argv[0]` of the zygote.
pub(crate) const ZYGOTE: &str = "wasmjob: zygote";
/// `argv[0]` of a compiler.
pub(crate) const COMPILER: &str = "wasmjob: compiler";

/// Where something is played: inside the walls, with everything raised, in the place of what a stranger controls.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Scene<'a> {
    /// Instead of the guest's first instruction. What is answered is its exit code.
    Worker {
        args: &'a [String],
        /// The host's paths of the directories that the guest sees, and whether it may write there.
        directories: Vec<(&'a str, bool)>,
    },
    /// Instead of compiling. What is answered stands in the refusal of the module.
    Compiler { module: &'a [u8] },
}

/// Stands in for a guest that has escaped; `None` leaves the scene to what would be there.
#[doc(hidden)]
pub type Play = fn(Scene<'_>) -> Option<i32>;

/// Empty in every program that we ship: only `enter_playing` fills it, which only tests call.
static PLAY: OnceLock<Play> = OnceLock::new();

/// Must be the first line of `main`, before any thread is started: returns only in the process that the user started,
/// which from then on keeps memory that it has freed for the next download.
pub fn enter() {
    let mut arguments = std::env::args_os();
    let Some(name) = arguments.next() else { return };
    if name == ZYGOTE {
        close_range(3, u32::MAX);
        let served = standard_input().and_then(zygote::serve);
        if let Err(error) = &served {
            eprintln!("wasmjob: the zygote stopped: {error}");
        }
        exit_now(i32::from(served.is_err()));
    }
    if name == COMPILER {
        close_range(3, u32::MAX);
        exit_now(compiler::serve(arguments.next().as_deref().and_then(std::ffi::OsStr::to_str)));
    }
    keep_freed_memory();
}

/// As `enter`, for a test that shows what the walls hold against: `play` runs inside of them with all that an escaped guest would have.
#[doc(hidden)]
pub fn enter_playing(play: Play) {
    // Set once, before anything could have been.
    let _ = PLAY.set(play);
    enter();
}

/// What a test plays here, if anything.
pub(crate) fn play<'a>(scene: impl FnOnce() -> Scene<'a>) -> Option<i32> {
    PLAY.get().and_then(|play| play(scene()))
}

/// The line to the supervisor, taken out of the place of stdin so that no worker inherits it there.
fn standard_input() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    replace_stdin(&std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}
