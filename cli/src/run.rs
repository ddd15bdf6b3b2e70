//! `wasmjob run`: one job from its spec to its exit code.
//!
//! Everything that can end a run, a refusal before it included, is a `Report`: the line on stderr, the exit code and the status come
//! from it alone.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::ExitCode;

use crds::condition::RunState;
use crds::job::WasmJob;
use crds::reason::Reason;
use crds::report::Report;
use crds::status::{Run, WasmJobStatus};
use runner::failure::Failure;
use runner::task::Identity;

use crate::args::RunArgs;
use crate::config::{self, Environment};
use crate::document::{self, Content};
use crate::job_from_flags::{LocalJob, job_for_module, lay_over};
use crate::source_arg::{Target, dns_label};
use crate::{dry_run, exit, status_file};

mod attempt;

/// A run's ending, and the signal that brought it about.
struct Ending {
    report: Report,
    signal: Option<i32>,
}

pub(crate) fn main(flags: &RunArgs, environment: &Environment) -> ExitCode {
    log_to_stderr(environment.log.as_deref());
    let job = match job(flags, config::variable) {
        Ok(job) => job,
        Err(failure) => return finish(flags, &refused(failure)),
    };
    if flags.dry_run {
        return print_yaml(&job, flags);
    }
    warn_of_entrypoint(&job);
    finish(flags, &attempt::carry_out(&job, flags, environment))
}

/// The job that the flags and the document say, checked as the API server would check it.
fn job(flags: &RunArgs, variable: impl Fn(&str) -> Option<String>) -> Result<LocalJob, Failure> {
    let said = match &flags.target {
        Target::Document(path) => job_from_document(path)?,
        Target::DocumentOnStdin => job_from_document(Path::new("-"))?,
        Target::Module(source) => job_for_module(source),
    };
    let job = lay_over(said, flags, variable);
    check_files(&job, flags)?;
    check(&dry_run::with_placeholders(&job))?;
    Ok(job)
}

/// What the API server would say.
fn check(job: &WasmJob) -> Result<(), Failure> {
    let value = serde_json::to_value(job).expect("a job is maps, lists, strings and numbers");
    let violations = crds::validate::validate(&value);
    if violations.is_empty() { Ok(()) } else { Err(invalid(&violations)) }
}

fn job_from_document(path: &Path) -> Result<LocalJob, Failure> {
    let place = document::place(path);
    let document = document::read(path).and_then(|text| document::only_job(&text, &place));
    let document = document.map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()))?;
    match document.content {
        Content::Job(mut job) => {
            let prefix = job.metadata.generate_name.as_deref().map(dns_label);
            job.metadata.name = job.metadata.name.or(prefix);
            Ok(LocalJob { job, local: runner::task::LocalSources::default() })
        }
        Content::Refused(violations) => Err(invalid(&violations)),
        Content::Other(kind) => Err(Failure::new(Reason::InvalidSpec, format!("{place} holds a {kind}, no WasmJob"))),
    }
}

fn invalid(violations: &[crds::validate::Violation]) -> Failure {
    let lines: Vec<_> = violations.iter().map(|violation| format!("{}: {}", violation.field, violation.message)).collect();
    Failure::new(Reason::InvalidSpec, lines.join("\n"))
}

/// Files of this machine that are not there, said before anything is fetched, with what else the word could have meant.
fn check_files(job: &LocalJob, flags: &RunArgs) -> Result<(), Failure> {
    let missing = |path: &Path, error: io::Error| {
        let message = format!("{}: {error}; it names a file of this machine, for it is no URL and no CID", path.display());
        Failure::new(Reason::FetchNotFound, message)
    };
    for path in job.local.module.iter().chain(job.local.inputs.values()) {
        path.metadata().map_err(|error| missing(path, error))?;
    }
    if let Some(path) = job.local.module.as_ref().filter(|path| path.is_dir()) {
        return Err(Failure::new(Reason::ModuleInvalid, format!("{} is a directory: name the .wasm file in it", path.display())));
    }
    let stdin_twice = flags.target == Target::DocumentOnStdin && flags.stdin.as_deref() == Some(Path::new("-"));
    if stdin_twice {
        return Err(Failure::new(Reason::InvalidSpec, "stdin cannot be both the job document and the program's stdin"));
    }
    Ok(())
}

fn print_yaml(job: &LocalJob, flags: &RunArgs) -> ExitCode {
    let sent = dry_run::for_cluster(job, flags.stdin.as_deref()).map_err(|error| Failure::new(Reason::InvalidSpec, error.to_string()));
    match sent.and_then(|sent| check(&sent.job).map(|()| sent)) {
        Ok(sent) => exit::print(&dry_run::yaml(&sent)),
        Err(failure) => finish(flags, &refused(failure)),
    }
}

/// What earlier systems took for an entrypoint is an argument here.
fn warn_of_entrypoint(job: &LocalJob) {
    if job.job.spec.run.args.first().is_some_and(|first| first == "_start") {
        exit::say(
            "wasmjob: warning: _start is passed to the program as its first argument; the function to call is named with --entrypoint",
        );
    }
}

fn refused(failure: Failure) -> Ending {
    Ending { report: exit::never_ran(failure.reason, failure.message, jiff::Timestamp::now()), signal: None }
}

/// The last three things of every run: its status, its line, its exit code.
fn finish(flags: &RunArgs, ending: &Ending) -> ExitCode {
    let mut code = match ending.signal {
        Some(signal) => u8::try_from(128 + signal).unwrap_or(exit::NOT_RUN),
        None => exit::code(&ending.report.outcome),
    };
    if let Some(path) = &flags.status_file
        && let Err(error) = status_file::write(path, &status(&ending.report))
    {
        exit::say(&format!("wasmjob: {error}"));
        code = if code == 0 { exit::NOT_RUN } else { code };
    }
    if let Some(line) = exit::line(&ending.report.outcome) {
        exit::say(&line);
    }
    ExitCode::from(code)
}

/// As after the first run of a job of generation 1.
fn status(report: &Report) -> WasmJobStatus {
    let run = Run { number: 1, generation: 1, state: RunState::Ended(report), attempt: 1, node_name: None };
    WasmJobStatus::of_run(&run, report.finish_time, None)
}

fn log_to_stderr(filter: Option<&str>) {
    let filter = tracing_subscriber::EnvFilter::new(filter.unwrap_or("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

/// Which file the guest reads on stdin: the flag's; for a module without one this command's own stdin where something was put there,
/// that is a pipe or a file. Not a terminal (nobody is asked to type), nor `/dev/null`; a socket is what many supervisors leave open.
fn stdin(flags: &RunArgs) -> io::Result<Option<File>> {
    let own = || io::stdin().as_fd().try_clone_to_owned().map(File::from);
    match (&flags.stdin, &flags.target) {
        (Some(path), _) if path == Path::new("-") => own().map(Some),
        (Some(path), _) => File::open(path).map(Some),
        (None, Target::Document(_) | Target::DocumentOnStdin) => Ok(None),
        (None, Target::Module(_)) => {
            let Ok(stdin) = own() else { return Ok(None) };
            let file_type = stdin.metadata()?.file_type();
            Ok((file_type.is_fifo() || file_type.is_file()).then_some(stdin))
        }
    }
}

fn identity(job: &LocalJob) -> io::Result<Identity> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    Ok(Identity {
        namespace: job.job.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        name: job.job.metadata.name.clone().unwrap_or_else(|| "wasm".to_owned()),
        run: 1,
        index: 0,
        attempt: 1,
        fence: hex::encode(random),
    })
}
