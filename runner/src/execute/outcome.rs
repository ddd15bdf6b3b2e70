//! Why watching ended, and how the process did → the outcome that the status tells.

use crds::reason::Reason;
use crds::report::Outcome;

use super::Stop;
use crate::order::{Ending, ExitStatus, How};

/// Exit codes that stand for what is no exit of the guest's own; those of shells and `timeout(1)`.
const TRAP: i32 = 134;
const TIMEOUT: i32 = 124;
const MEMORY: i32 = 137;

pub(crate) fn outcome(stop: &Stop, status: Option<ExitStatus>, memory_bytes: u64) -> Outcome {
    match stop {
        Stop::Ended(ending) => ended(ending, memory_bytes),
        Stop::Deadline(limit) => {
            new(Reason::Timeout, Some(TIMEOUT), format!("the guest ran longer than spec.timeoutSeconds ({} s)", limit.as_secs_f64()))
        }
        Stop::Cancelled => new(Reason::Cancelled, None, "the run was cancelled".to_owned()),
        Stop::OutputTooLarge(message) => new(Reason::OutputTooLarge, None, message.clone()),
        Stop::SetUpDeadline => {
            new(Reason::WorkerKilled, None, "the worker did not start its guest within a minute: is this machine overloaded?".to_owned())
        }
        Stop::Lost(loss) => new(Reason::WorkerKilled, None, loss.failure().message),
        Stop::Gone => new(Reason::WorkerKilled, None, gone(status)),
    }
}

fn new(reason: Reason, exit_code: Option<i32>, message: String) -> Outcome {
    Outcome { reason, exit_code, message }
}

fn ended(ending: &Ending, memory_bytes: u64) -> Outcome {
    let raise = |asked: u64| {
        format!(
            "{asked} bytes of memory in all, more than resources.limits.memory ({memory_bytes} bytes) allows: raise it, or give the program less at a time"
        )
    };
    match (&ending.how, ending.refused_bytes) {
        (How::Exited(0), _) => new(Reason::Completed, Some(0), String::new()),
        (How::Exited(code), None) => new(Reason::GuestExit, Some(*code), format!("the guest exited with {code}")),
        (How::Exited(code), Some(asked)) => {
            new(Reason::GuestExit, Some(*code), format!("the guest exited with {code} after it was refused {}", raise(asked)))
        }
        (How::Trapped { .. } | How::MemoryLimit(_), Some(asked)) => {
            new(Reason::MemoryLimit, Some(MEMORY), format!("the guest needed {}", raise(asked)))
        }
        (How::MemoryLimit(text), None) => new(Reason::MemoryLimit, Some(MEMORY), text.clone()),
        (How::Trapped { trap, backtrace }, None) => new(Reason::Trap, Some(TRAP), trapped(trap, backtrace)),
        (How::OutOfFuel, _) => new(Reason::OutOfFuel, Some(TRAP), "the guest used up spec.wasmLimits.fuel".to_owned()),
        (How::Refused { reason, message }, _) => new(*reason, None, message.clone()),
    }
}

fn trapped(trap: &str, backtrace: &[String]) -> String {
    if backtrace.is_empty() { trap.to_owned() } else { format!("{trap}; backtrace, innermost first: {}", backtrace.join(" < ")) }
}

/// A status that nobody has: the zygote ended first, and its workers with it.
fn gone(status: Option<ExitStatus>) -> String {
    let Some(status) = status else {
        return "the worker ended with the process that it came from, most likely because this machine ran out of memory".to_owned();
    };
    match status {
        ExitStatus::Signal(libc::SIGKILL) => {
            "the worker was killed from outside, most likely because this machine ran out of memory".to_owned()
        }
        ExitStatus::Signal(libc::SIGABRT) => "the worker gave up, most likely because it was refused memory".to_owned(),
        ExitStatus::Signal(libc::SIGSYS) => {
            "the worker was killed for a system call that no guest makes: the module has found a way out of WebAssembly, and the wall \
             behind it held; please report it"
                .to_owned()
        }
        ExitStatus::Signal(signal) => {
            format!("the worker crashed with signal {signal}: if it does so again, the module has found a defect; please report it")
        }
        ExitStatus::Code(code) => format!("the worker ended with {code} without telling how its guest did"),
    }
}

#[cfg(test)]
mod tests;
