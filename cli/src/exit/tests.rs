//! Rows: endings, and what a shell sees of them.

use super::*;

fn outcome(reason: Reason, exit_code: Option<i32>) -> Outcome {
    Outcome { reason, exit_code, message: String::new() }
}

#[test]
fn the_exit_code_is_the_guests_or_says_why_there_is_none() {
    let check = |reason, exit_code, expected| assert_eq!(code(&outcome(reason, exit_code)), expected, "{reason} {exit_code:?}");
    check(Reason::Completed, Some(0), 0);
    for guest in 1..=255 {
        check(Reason::GuestExit, Some(guest), u8::try_from(guest).expect("the range ends at 255"));
    }
    check(Reason::GuestExit, Some(256), 255);
    check(Reason::GuestExit, Some(i32::MAX), 255);
    check(Reason::GuestExit, Some(-1), 255);
    check(Reason::Trap, Some(134), 134);
    check(Reason::OutOfFuel, Some(134), 134);
    check(Reason::Timeout, Some(124), 124);
    check(Reason::MemoryLimit, Some(137), 137);
    let guest_endings = [Reason::Completed, Reason::GuestExit, Reason::Trap, Reason::OutOfFuel, Reason::Timeout, Reason::MemoryLimit];
    for reason in Reason::ALL.into_iter().filter(|reason| !guest_endings.contains(reason)) {
        check(reason, None, 125);
        check(reason, Some(0), 125);
    }
}

#[test]
fn success_says_nothing_and_everything_else_says_its_reason() {
    let said = |reason, message: &str| line(&Outcome { reason, exit_code: None, message: message.to_owned() });
    assert_eq!(said(Reason::Completed, ""), None);
    assert_eq!(said(Reason::Trap, "unreachable\n0: main\n"), Some("wasmjob: Trap: unreachable\n  0: main".to_owned()));
    assert_eq!(said(Reason::FetchNotFound, "\u{1b}[2Jgone\r"), Some("wasmjob: FetchNotFound: \\u{1b}[2Jgone".to_owned()));
}
