//! What an escaped guest could reach if nothing held it: another attempt's files, a token, a process to harm.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;

use serde::{Deserialize, Serialize};

use crate::place::Place;

/// `argv[0]` of a process that waits to be harmed.
pub(super) const VICTIM: &str = "wasmjob-test: victim";
/// `argv[0]` of a program that is started to show that one can be.
pub(super) const NOTHING_TO_DO: &str = "wasmjob-test: nothing";

/// What the token says, and what another attempt has written.
const SECRET: &str = "a token";
/// What lies in a victim's memory.
static MEMORY: AtomicU64 = AtomicU64::new(0);

/// Where things are, on the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Field {
    /// Stands for the agent's token.
    pub(super) secret: PathBuf,
    /// Another attempt's outputs, with the file `result` in it.
    pub(super) other: PathBuf,
    /// This attempt's, with the file `input` in the first.
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
    /// A process of the same user, and eight bytes of its memory.
    pub(super) victim: i32,
    pub(super) address: usize,
    /// Regular files that this process has open to write, and may.
    pub(super) own_files: usize,
}

/// A process that waits to be harmed, and ends with this.
pub(super) struct Victim {
    process: Child,
    address: usize,
}

// === impl Field ===

impl Field {
    /// Everything as if nothing had happened to it yet.
    pub(super) fn lay_out(place: &Place, victim: &Victim) -> Self {
        let (secret, other) = (place.path("token"), place.path("another-attempt"));
        let (input, output) = (place.path("input"), place.path("output"));
        for directory in [&other, &input, &output] {
            let _ = std::fs::remove_dir_all(directory);
            std::fs::create_dir_all(directory).unwrap();
        }
        for file in [&secret, &other.join("result"), &input.join("input")] {
            std::fs::write(file, SECRET).unwrap();
        }
        Self { secret, other, input, output, victim: victim.process.id().cast_signed(), address: victim.address, own_files: 0 }
    }

    pub(super) fn is_unharmed(&self) -> bool {
        let says = |file: &Path| std::fs::read_to_string(file).is_ok_and(|text| text == SECRET);
        let alone = |directory: &Path| std::fs::read_dir(directory).is_ok_and(|entries| entries.count() == 1);
        says(&self.secret)
            && says(&self.other.join("result"))
            && says(&self.input.join("input"))
            && alone(&self.other)
            && alone(&self.input)
    }

    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap()
    }

    pub(super) fn read(text: &str) -> Self {
        serde_json::from_str(text).expect("a field that this test wrote")
    }
}

// === impl Victim ===

impl Victim {
    pub(super) fn start() -> Self {
        let mut process = Command::new("/proc/self/exe").arg0(VICTIM).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { process, address: line.trim().parse().unwrap() }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have been killed, as it was meant to be.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }
}

/// The victim's whole life.
pub(super) fn suffer() -> ! {
    println!("{}", MEMORY.as_ptr().addr());
    loop {
        std::thread::park();
    }
}
