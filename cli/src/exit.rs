//! How a run ended → this process's exit code, and its line on stderr.
//!
//! A closed stdout or stderr is nobody's fault: what cannot be written there is dropped, without a panic.

use std::io::Write as _;
use std::process::ExitCode;

use crds::reason::Reason;
use crds::report::{Durations, Outcome, Report, StreamReport, Usage};

#[cfg(test)]
mod tests;

/// The job could not be run, or its outputs could not be kept: `docker run`'s number for the same.
pub(crate) const NOT_RUN: u8 = 125;
const TRAP: u8 = 134;
const TIMEOUT: u8 = 124;
const MEMORY: u8 = 137;

/// The guest's own number wherever the guest's ending is the run's ending; numbers that a process cannot have become 255.
pub(crate) fn code(outcome: &Outcome) -> u8 {
    match outcome.reason {
        Reason::Completed => 0,
        Reason::GuestExit => outcome.exit_code.map_or(NOT_RUN, |code| u8::try_from(code).unwrap_or(u8::MAX)),
        Reason::Trap | Reason::OutOfFuel => TRAP,
        Reason::MemoryLimit => MEMORY,
        Reason::Timeout => TIMEOUT,
        Reason::Cancelled
        | Reason::NetworkDenied
        | Reason::FetchDenied
        | Reason::FetchNotFound
        | Reason::FetchTooLarge
        | Reason::FetchTimeout
        | Reason::FetchFailed
        | Reason::DigestMismatch
        | Reason::ModuleInvalid
        | Reason::ModuleUnsupported
        | Reason::ImportNotAllowed
        | Reason::CompileLimit
        | Reason::ArchiveUnsafe
        | Reason::CidInvalid
        | Reason::CidMismatch
        | Reason::CarIncomplete
        | Reason::OutputTooLarge
        | Reason::OutputUnsafe
        | Reason::PublishFailed
        | Reason::CredentialDenied
        | Reason::WorkerKilled
        | Reason::SandboxUnavailable
        | Reason::InvalidSpec
        | Reason::Pending
        | Reason::Running
        | Reason::Suspended
        | Reason::Unschedulable
        | Reason::DeadlineExceeded
        | Reason::BackoffLimitExceeded
        | Reason::AgentRestarted
        | Reason::NodeLost
        | Reason::Disrupted
        | Reason::Refused => NOT_RUN,
    }
}

/// `wasmjob: Trap: unreachable …`, or nothing where all went well. Later lines of a message are indented; what would move the
/// cursor of a terminal is escaped, for messages quote what servers and guests said.
pub(crate) fn line(outcome: &Outcome) -> Option<String> {
    if outcome.reason == Reason::Completed {
        return None;
    }
    let message: String = outcome.message.trim_end().chars().fold(String::new(), |mut line, c| {
        match c {
            '\n' => line.push_str("\n  "),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
        line
    });
    Some(format!("wasmjob: {}: {message}", outcome.reason))
}

/// The report of a job that never got to its guest.
pub(crate) fn never_ran(reason: Reason, message: impl Into<String>, at: jiff::Timestamp) -> Report {
    Report {
        outcome: Outcome { reason, exit_code: None, message: message.into() },
        module: None,
        stdout: StreamReport::default(),
        stderr: StreamReport::default(),
        results: Vec::new(),
        config_maps: Vec::new(),
        absent_inputs: Vec::new(),
        network_denied: Vec::new(),
        start_time: at,
        finish_time: at,
        durations: Durations::default(),
        usage: Usage::default(),
    }
}

/// One line on stderr.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Text on stdout, and success unless it could not be written. A reader who left had enough.
pub(crate) fn print(text: &str) -> ExitCode {
    print_bytes(text.as_bytes())
}

/// Bytes on stdout, likewise.
pub(crate) fn print_bytes(bytes: &[u8]) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            say(&format!("wasmjob: unable to write to stdout: {error}"));
            ExitCode::from(NOT_RUN)
        }
        _ => ExitCode::SUCCESS,
    }
}
