//! Verified bytes → a compiled module of this machine, from the cache or by a compiler process.
//!
//! Compiled modules are kept by digest, tier, fuel and the engine's compatibility, written and read by this user only. Small modules
//! are optimised at once; big ones get a baseline build first, and the optimised one in the background where a run showed that it
//! pays. Runs nothing.

pub(crate) mod imports;

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crds::digest::Digest;
use crds::reason::Reason;
use crds::report::ModuleKind;

use crate::compiler::{CompileOrder, Compiled};
use crate::failure::Failure;
use crate::role;
use crate::sandbox::engine::{DEFAULT_STACK_BYTES, Tier, compatibility, engine};
use crate::store::{Blob, Store};
use crate::walls::Raised;

/// Modules larger than this get a baseline build first: below it the optimised one costs nearly the same.
const BIG_MODULE_BYTES: u64 = 1 << 20;
/// Longest compilation that a job waits for.
const DEADLINE: Duration = Duration::from_mins(2);
/// A run this long would have gained from optimised code.
const PAYS_FROM: Duration = Duration::from_millis(300);

/// The compiled modules of this machine.
#[derive(Debug)]
pub(crate) struct CompiledModules {
    directory: PathBuf,
    /// The walls around compilers.
    raised: Raised,
    plain: String,
    /// Known when the first job sets fuel: an engine is made only to learn its name.
    fuelled: OnceLock<String>,
    /// Modules that an optimised build was started for, by the build's directory and digest. Tried once: one that failed would fail again.
    improved: Mutex<HashSet<(PathBuf, Digest)>>,
}

/// A module ready to run.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) kind: ModuleKind,
    pub(crate) compiled: File,
    tier: Tier,
}

// === impl CompiledModules ===

impl CompiledModules {
    /// # Errors
    /// The directory cannot be made or is not this user's alone; or this machine cannot run wasmtime.
    pub(crate) fn open(directory: &Path, raised: Raised) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let metadata = std::fs::metadata(directory)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            let message = format!(
                "{} holds code that will be executed: it must belong to the user who runs this and be writable by nobody else",
                directory.display()
            );
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message));
        }
        Ok(Self { directory: directory.to_owned(), raised, plain: name(false)?, fuelled: OnceLock::new(), improved: Mutex::default() })
    }

    /// The compiled form of `module`, built now where it is not there.
    ///
    /// # Errors
    /// Why this module cannot run here; `WorkerKilled` where the machine failed.
    pub(crate) async fn prepare(&self, store: &Store, module: &Blob, fuel: bool) -> Result<Prepared, Failure> {
        let builds = self.builds(fuel)?;
        if let Some(found) = find(&builds, &module.digest()) {
            return Ok(found);
        }
        let key = format!("compile-{}-{fuel}", module.digest().hex());
        store
            .once(&key, async {
                if let Some(found) = find(&builds, &module.digest()) {
                    return Ok(found);
                }
                let tier = if module.size_bytes() > BIG_MODULE_BYTES { Tier::Baseline } else { Tier::Optimized };
                let order = self.order(&builds, module, fuel, tier, true);
                let bytes = module
                    .open()
                    .map_err(|error| Failure::new(Reason::WorkerKilled, format!("failed to read {}: {error}", module.digest())))?;
                let answer = tokio::task::spawn_blocking(move || attended(&order, bytes))
                    .await
                    .unwrap_or_else(|error| Compiled::Failed(error.to_string()));
                match answer {
                    Compiled::Done(_) => find(&builds, &module.digest()).ok_or_else(|| {
                        let digest = module.digest();
                        Failure::new(Reason::WorkerKilled, format!("the compiled form of {digest} vanished from {}", builds.display()))
                    }),
                    Compiled::Refused { reason, message } => Err(Failure::new(reason, message)),
                    Compiled::Failed(message) => {
                        Err(Failure::new(Reason::WorkerKilled, format!("failed to compile {}: {message}", module.digest())))
                    }
                }
            })
            .await
    }

    /// Starts an optimised build that nobody waits for, where a run of `ran` showed that it pays.
    pub(crate) fn improve(&self, module: &Blob, fuel: bool, prepared: &Prepared, ran: Duration) {
        if prepared.tier == Tier::Optimized || ran < PAYS_FROM {
            return;
        }
        let Ok(builds) = self.builds(fuel) else { return };
        let mut improved = self.improved.lock().unwrap_or_else(PoisonError::into_inner);
        if !improved.insert((builds.clone(), module.digest())) {
            return;
        }
        let order = self.order(&builds, module, fuel, Tier::Optimized, false);
        let started = module.open().and_then(|bytes| start(&order, bytes)).and_then(|mut compiler| {
            // Somebody must learn of its end, or it stays in the table of processes as long as this one lives.
            std::thread::Builder::new().name("optimised build".to_owned()).spawn(move || drop(compiler.wait()))
        });
        if let Err(error) = started {
            tracing::debug!(%error, "failed to start the optimised build");
        }
    }

    fn order(&self, builds: &Path, module: &Blob, fuel: bool, tier: Tier, attended: bool) -> CompileOrder {
        CompileOrder { directory: builds.to_owned(), name: module.digest().hex(), tier, fuel, attended, raised: self.raised }
    }

    /// The directory of the builds with or without fuel.
    fn builds(&self, fuel: bool) -> Result<PathBuf, Failure> {
        if !fuel {
            return Ok(self.directory.join(&self.plain));
        }
        if let Some(fuelled) = self.fuelled.get() {
            return Ok(self.directory.join(fuelled));
        }
        let fuelled = name(true)
            .map_err(|error| Failure::new(Reason::WorkerKilled, format!("failed to set up an engine that counts fuel: {error}")))?;
        Ok(self.directory.join(self.fuelled.get_or_init(|| fuelled)))
    }
}

/// Under which name an engine's builds are kept.
fn name(fuel: bool) -> std::io::Result<String> {
    engine(Tier::Optimized, fuel, DEFAULT_STACK_BYTES).map(|engine| compatibility(&engine)).map_err(std::io::Error::other)
}

/// The best build there is.
fn find(builds: &Path, digest: &Digest) -> Option<Prepared> {
    [
        (Tier::Optimized, ModuleKind::CoreModule),
        (Tier::Optimized, ModuleKind::Component),
        (Tier::Baseline, ModuleKind::CoreModule),
        (Tier::Baseline, ModuleKind::Component),
    ]
    .into_iter()
    .find_map(|(tier, kind)| {
        let compiled = File::open(builds.join(file_name(&digest.hex(), tier, kind))).ok()?;
        Some(Prepared { kind, compiled, tier })
    })
}

/// Under which name a build is kept.
pub(crate) fn file_name(digest: &str, tier: Tier, kind: ModuleKind) -> String {
    let tier = match tier {
        Tier::Baseline => "baseline",
        Tier::Optimized => "optimized",
    };
    let kind = match kind {
        ModuleKind::CoreModule => "module",
        ModuleKind::Component => "component",
    };
    format!("{digest}.{tier}.{kind}")
}

/// Compiles and waits, at most until the deadline.
fn attended(order: &CompileOrder, module: File) -> Compiled {
    start(order, module).and_then(finish).unwrap_or_else(|error| Compiled::Failed(error.to_string()))
}

/// Starts a compiler in a process group of its own: a signal from the user's terminal is not for it.
fn start(order: &CompileOrder, module: File) -> std::io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(role::COMPILER).arg(serde_json::to_string(order)?).env_clear().process_group(0).stdin(module).stderr(Stdio::null());
    command.stdout(if order.attended { Stdio::piped() } else { Stdio::null() }).spawn()
}

/// Waits for the answer on a thread of its own, and kills when none came in time.
fn finish(mut child: Child) -> std::io::Result<Compiled> {
    let mut stdout = child.stdout.take().expect("piped by start");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = std::io::Read::read_to_end(&mut std::io::Read::take(&mut stdout, 1 << 20), &mut answer);
        // The receiver is gone when the deadline has passed.
        let _ = sender.send(read.map(|_| answer));
    });
    let Ok(answer) = receiver.recv_timeout(DEADLINE) else {
        child.kill()?;
        child.wait()?;
        return Ok(limit(format!("compiling took longer than {} s: make the module smaller or simpler", DEADLINE.as_secs())));
    };
    let status = child.wait()?;
    if status.success() {
        return Ok(serde_json::from_slice(&answer?)?);
    }
    Ok(limit(format!("compiling ended with {status}, most likely for want of memory: make the module smaller or simpler")))
}

fn limit(message: String) -> Compiled {
    Compiled::Refused { reason: Reason::CompileLimit, message }
}
