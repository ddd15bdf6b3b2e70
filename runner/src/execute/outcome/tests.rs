//! Every way a guest can end, one row each.

use std::time::Duration;

use super::*;
use crate::workers::Loss;

fn ending(how: How, refused_bytes: Option<u64>) -> Stop {
    Stop::Ended(Ending {
        how,
        network_denied: Vec::new(),
        peak_memory_bytes: 0,
        refused_bytes,
        fuel_consumed: None,
        instantiate_microseconds: 0,
        run_microseconds: 0,
    })
}

fn trapped(trap: &str) -> How {
    How::Trapped { trap: trap.to_owned(), backtrace: vec!["main @ 0x1".to_owned()] }
}

#[test]
fn every_ending_has_its_reason_and_exit_code() {
    let killed = ExitStatus::Signal(libc::SIGKILL);
    let done = ExitStatus::Code(0);
    let rows = [
        (ending(How::Exited(0), None), done, Reason::Completed, Some(0)),
        (ending(How::Exited(1), None), done, Reason::GuestExit, Some(1)),
        (ending(How::Exited(255), None), done, Reason::GuestExit, Some(255)),
        (ending(How::Exited(256), None), done, Reason::GuestExit, Some(256)),
        (ending(How::Exited(-1), None), done, Reason::GuestExit, Some(-1)),
        (ending(How::Exited(2), Some(9)), done, Reason::GuestExit, Some(2)),
        (ending(trapped("integer divide by zero"), None), done, Reason::Trap, Some(134)),
        (ending(trapped("unreachable"), Some(9)), done, Reason::MemoryLimit, Some(137)),
        (ending(How::MemoryLimit("too large".to_owned()), None), done, Reason::MemoryLimit, Some(137)),
        (ending(How::OutOfFuel, None), done, Reason::OutOfFuel, Some(134)),
        (ending(How::Refused { reason: Reason::ModuleInvalid, message: "x".to_owned() }, None), done, Reason::ModuleInvalid, None),
        (Stop::Deadline(Duration::from_secs(3)), killed, Reason::Timeout, Some(124)),
        (Stop::Cancelled, killed, Reason::Cancelled, None),
        (Stop::OutputTooLarge("o".to_owned()), killed, Reason::OutputTooLarge, None),
        (Stop::SetUpDeadline, killed, Reason::WorkerKilled, None),
        (Stop::Lost(Loss::Killed), killed, Reason::WorkerKilled, None),
        (Stop::Lost(Loss::Lapsed), ExitStatus::Code(1), Reason::WorkerKilled, None),
        (Stop::Gone, killed, Reason::WorkerKilled, None),
        (Stop::Gone, ExitStatus::Signal(libc::SIGSEGV), Reason::WorkerKilled, None),
        (Stop::Gone, ExitStatus::Code(3), Reason::WorkerKilled, None),
    ];
    for (stop, status, reason, exit_code) in rows {
        let outcome = outcome(&stop, Some(status), 1 << 20);
        assert_eq!((outcome.reason, outcome.exit_code), (reason, exit_code), "{stop:?}");
        assert_eq!(outcome.message.is_empty(), reason == Reason::Completed, "{stop:?}");
    }
}

#[test]
fn a_refused_growth_names_the_limit_to_raise() {
    let message = outcome(&ending(trapped("unreachable"), Some(2 << 20)), Some(ExitStatus::Code(0)), 1 << 20).message;
    assert!(message.contains("resources.limits.memory (1048576 bytes)") && message.contains("2097152 bytes"), "{message}");
}
