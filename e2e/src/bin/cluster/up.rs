//! `up`: starts the background program and waits until all runs, or tells of the one that runs already.

use std::fs::{self, File};
use std::os::fd::BorrowedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::{Errno, FdFlags, fcntl_setfd};

use super::Wishes;
use super::state::{Ready, State};

/// A guard against hangs, not a measure: machines are slow at times.
const READY_WITHIN: Duration = Duration::from_mins(6);

const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn up(wishes: &Wishes) -> anyhow::Result<()> {
    let state = State::new()?;
    let _turn = state.turn()?;
    if state.lives()? {
        println!("it runs already; `cargo xtask cluster down` stops it");
        return tell(&wait(&state, None)?);
    }
    state.clear()?;
    let child = start(&state, wishes)?;
    tell(&wait(&state, Some(child))?)
}

/// This program again, with nothing of ours but its arguments.
fn start(state: &State, wishes: &Wishes) -> anyhow::Result<Child> {
    let log = File::create(state.log()).with_context(|| format!("failed to create {}", state.log().display()))?;
    let own = std::env::current_exe().context("a running program has a path")?;
    let mut command = Command::new(own);
    command.args(["serve", "--agents", &wishes.agents.to_string()]);
    if let Some(kubeconfig) = &wishes.kubeconfig {
        // Whoever reads it later may be elsewhere.
        command.arg("--kubeconfig").arg(std::path::absolute(kubeconfig).context("failed to understand the kubeconfig's path")?);
    }
    if wishes.with_stores {
        command.arg("--with-stores");
    }
    keep_to_ourselves().context("failed to keep open files from the background program")?;
    let error_log = log.try_clone().context("failed to share the log")?;
    command.stdin(Stdio::null()).stdout(log).stderr(error_log).spawn().context("failed to start the background program")
}

/// Whoever called us may have left us more than three open files: a lock, a pipe that is read to its end. They must not stay open for as long
/// as the background program lives.
fn keep_to_ourselves() -> std::io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number.filter(|number| *number > 2) else { continue };
        #[expect(
            unsafe_code,
            reason = "a number has no owner; this process has one thread, so that it stays what it was when it was listed"
        )]
        let open = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl_setfd(open, FdFlags::CLOEXEC) {
            // The listing's own.
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn wait(state: &State, mut child: Option<Child>) -> anyhow::Result<Ready> {
    let begun = Instant::now();
    loop {
        let ended = match &mut child {
            Some(child) => child.try_wait().context("failed to ask after the background program")?.is_some(),
            None => !state.lives()?,
        };
        if ended {
            bail!("it did not start: {}", fs::read_to_string(state.log()).unwrap_or_default().trim());
        }
        if let Some(ready) = state.ready()? {
            return Ok(ready);
        }
        if begun.elapsed() > READY_WITHIN {
            bail!("it is not ready after {READY_WITHIN:?}: see {}, then `cargo xtask cluster down`", state.log().display());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn tell(ready: &Ready) -> anyhow::Result<()> {
    for line in &ready.lines {
        println!("{line}");
    }
    println!("{}", ready.kubeconfig.to_str().context("the kubeconfig's path is no text")?);
    Ok(())
}
