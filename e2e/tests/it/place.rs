//! A place to call `wasmjob` from, as a user does, and what came of a call.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use e2e::minio::{Keys, Minio, REGION};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes that long; a run that does hangs.
const HANG: Duration = Duration::from_mins(10);

/// A working directory, a home and a cache of its own, and the variables that its calls see besides.
pub(crate) struct Place {
    root: TempDir,
    variables: BTreeMap<String, String>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// Asked for a CID, no gateway of the internet is: nobody listens where this one looks unless a flag says otherwise.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("work")).expect("created");
        let variables = BTreeMap::from([("IPFS_GATEWAY".to_owned(), nobody())]);
        Self { root, variables }
    }

    /// Sets AWS's usual variables for this store.
    pub(crate) fn with_s3(mut self, minio: &Minio, keys: Option<&Keys>) -> Self {
        self.set("AWS_ENDPOINT_URL", &minio.endpoint()).set("AWS_REGION", REGION);
        if let Some(keys) = keys {
            self.set("AWS_ACCESS_KEY_ID", &keys.access_key).set("AWS_SECRET_ACCESS_KEY", &keys.secret_key);
            if let Some(token) = &keys.session_token {
                self.set("AWS_SESSION_TOKEN", token);
            }
        }
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The working directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the working directory")).expect("created");
        fs::write(path, bytes).expect("written");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect(name)
    }

    /// The status in the file `s.json`, where a call with `--status-file s.json` wrote it.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.read("s.json")).expect("JSON")
    }

    /// The command, with an environment in which nothing of this machine's user shows. Its stdin is empty.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(e2e::wasmjob());
        command.args(words).current_dir(self.path()).env_clear().envs(&self.variables);
        command.env("HOME", self.root.path().join("home")).env("WASMJOB_CACHE_DIR", self.root.path().join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ended(self.command(words).spawn().expect("it starts"))
    }

    pub(crate) fn run_with_stdin(&self, words: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self.command(words).stdin(Stdio::piped()).spawn().expect("it starts");
        // A guest that reads nothing closes its end.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin);
        ended(child)
    }

    /// What lies in the working directory, hidden and half-made things included.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The verified files in the cache, by the names that their digests give them.
    pub(crate) fn blobs(&self) -> BTreeMap<String, Vec<u8>> {
        find(&self.root.path().join("cache"), "blobs").map(|blobs| files(&blobs)).unwrap_or_default()
    }
}

fn find(below: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = fs::read_dir(below).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    folders.find_map(|folder| if folder.ends_with(name) { Some(folder) } else { find(&folder, name) })
}

/// Waits for the end, which comes before `HANG`.
pub(crate) fn ended(child: Child) -> Ran {
    let id = Pid::from_child(&child);
    let (done, waited) = channel::<()>();
    let guard = std::thread::spawn(move || {
        let hung = waited.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout);
        if hung {
            let _ = kill_process(id, Signal::KILL);
        }
        assert!(!hung, "hung for {HANG:?}");
    });
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it is our child");
    drop(done);
    guard.join().expect("it did not hang");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// All files below a folder by their paths; none where it is not there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(path).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                found.insert(name, fs::read(path).expect("read"));
            }
        }
    }
    found
}

/// A file under `examples/`, as a word of a command line.
pub(crate) fn example(path: &str) -> String {
    let file = examples().join(path);
    assert!(file.exists(), "{} is missing: run `cargo xtask guests` first (`cargo xtask test` does)", file.display());
    file.to_str().expect("the checkout's path is text").to_owned()
}

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// The URL of a loopback port where nobody listens.
pub(crate) fn nobody() -> String {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port");
    format!("http://{free}")
}
