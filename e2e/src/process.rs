//! A program that a test started: its output goes to a file in the test's folder, and it dies with the value that stands for it,
//! or with this process if that is killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// How long a program may take to become ready. A guard against hangs, not a measure: machines are slow at times.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// How often to look whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the program with its output in `log`, after what an earlier one said there.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let out = File::options().create(true).append(true).open(log).with_context(|| format!("failed to create {}", log.display()))?;
        let err = out.try_clone().context("failed to share the log")?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = spawn(command).with_context(|| format!("failed to start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// What the program is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Process id, by which alone the program is stopped.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with what the program said if it has ended.
    pub(crate) fn still_running(&mut self) -> anyhow::Result<()> {
        match self.ended()? {
            Some(status) => bail!("{} ended with {status}: {}", self.name, self.said()),
            None => Ok(()),
        }
    }

    fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("failed to ask after {}", self.name))
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks the program to end (SIGTERM).
    pub(crate) fn ask_to_end(&mut self) -> anyhow::Result<()> {
        // Not reaped yet, so the id is still its own.
        if self.ended()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).with_context(|| format!("failed to stop {}", self.name))?;
        }
        Ok(())
    }

    /// Asks the program to end and waits; when the time is over it is killed, and that is an error.
    pub(crate) fn stop(mut self, within: Duration) -> anyhow::Result<()> {
        self.ask_to_end()?;
        let asked = Instant::now();
        while self.ended()?.is_none() {
            if asked.elapsed() > within {
                bail!("{} has not ended {within:?} after it was asked to: {}", self.name, self.said());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Looks again and again until `look` finds what it waits for, and fails if the program ends or the time is over.
    pub(crate) fn wait_for<T>(&mut self, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            self.still_running()?;
            if let Some(found) = look() {
                return Ok(found);
            }
            if started.elapsed() > READY_WITHIN {
                bail!("{} is not ready after {READY_WITHIN:?}: {}", self.name, self.said());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended already; waiting reaps it either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Request = (Command, Sender<io::Result<Child>>);

/// The thread that starts all programs. The kernel sends the death signal when the *thread* that started a program ends, and
/// the threads of tests end before their process does.
static SPAWNER: LazyLock<Mutex<Sender<Request>>> = LazyLock::new(|| {
    let (requests, incoming) = channel::<Request>();
    std::thread::spawn(move || {
        for (mut command, answer) in incoming {
            // The test that asked is gone when nobody listens; dropping the answer drops nothing but the handle.
            let _ = answer.send(command.spawn());
        }
    });
    Mutex::new(requests)
});

/// Starts a program that the kernel kills when this process dies, however it dies.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    #[expect(unsafe_code, reason = "pre_exec is the only way to set the signal; the call is one async-signal-safe prctl")]
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let (answer, answered) = channel();
    let spawner = SPAWNER.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    spawner.send((command, answer)).expect("the spawning thread never ends");
    answered.recv().expect("the spawning thread answers every request")
}
