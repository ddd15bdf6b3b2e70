//! `down`: asks the background program to end, by its process id, and waits until it has: it ends last of all that it started.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::state::State;

/// A guard against hangs, not a measure: machines are slow at times.
const GONE_WITHIN: Duration = Duration::from_mins(3);

const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn down() -> anyhow::Result<()> {
    let state = State::new()?;
    let _turn = state.turn()?;
    if !state.lives()? {
        println!("nothing runs");
        return state.clear();
    }
    let id = state.read_id()?;
    let program = Pid::from_raw(id).context("a process id is a positive number")?;
    let program = match pidfd_open(program, PidfdFlags::empty()) {
        Ok(program) => program,
        Err(_) if !state.lives()? => return state.clear(),
        Err(error) => return Err(error).with_context(|| format!("failed to find process {id}")),
    };
    // The lock is still held, so the descriptor is of the program that wrote the id, whatever becomes of the number.
    if state.lives()? {
        pidfd_send_signal(&program, Signal::TERM).with_context(|| format!("failed to stop process {id}"))?;
    }
    let asked = Instant::now();
    while state.lives()? {
        if asked.elapsed() > GONE_WITHIN {
            bail!("process {id} has not ended {GONE_WITHIN:?} after it was asked to: see {}", state.log().display());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    println!("stopped");
    state.clear()
}
