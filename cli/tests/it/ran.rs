//! A place to call the command from, and what came of a call.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Nothing here takes that long; a run that does hangs.
const HANG: Duration = Duration::from_mins(2);

/// A directory of its own, with a home and a cache.
pub(crate) struct Place {
    root: TempDir,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().unwrap();
        std::fs::create_dir_all(root.path().join("work")).unwrap();
        Self { root }
    }

    /// The working directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).expect(name)
    }

    /// The command, with an environment in which nothing of this machine's user shows. Its stdin is empty.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command.args(words).current_dir(self.path()).env_clear();
        command.env("HOME", self.root.path().join("home")).env("WASMJOB_CACHE_DIR", self.root.path().join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ended(self.command(words).spawn().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, words: &[&str], stdin: &str) -> Ran {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().unwrap();
        // A guest that reads nothing closes its end.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        ended(child)
    }
}

/// Waits for the end, which comes before `HANG`.
pub(crate) fn ended(child: Child) -> Ran {
    let id = rustix::process::Pid::from_child(&child);
    let (done, waited) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let started = Instant::now();
        let hung = waited.recv_timeout(HANG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if hung {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        }
        assert!(!hung, "hung for {:?}", started.elapsed());
    });
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    drop(done);
    guard.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// The names of all files below a directory, sorted; none where it is not there.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in std::fs::read_dir(path).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { found.push(path.strip_prefix(directory).unwrap().display().to_string()) }
        }
    }
    found.sort();
    found
}
