use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect};

use super::*;

const AGES: u64 = u64::MAX;

fn watched(deadline: &Deadline) -> Watched {
    Watched::open(&deadline.shared.memory).expect("the memory of a deadline can be read")
}

#[test]
fn a_new_deadline_has_passed_and_moves_only_away() {
    let deadline = Deadline::new().expect("a page");
    assert!(deadline.passed() && watched(&deadline).until().is_none());
    deadline.extend_to(AGES);
    deadline.extend_to(1);
    assert!(!deadline.passed() && !deadline.clone().passed());
}

#[test]
fn who_lived_before_a_lapse_does_not_live_on_after_it() {
    let deadline = Deadline::new().expect("a page");
    let (before, lapses) = (watched(&deadline), deadline.lapses());
    deadline.extend_to(AGES);
    assert!(before.until().is_none() && deadline.has_outlived(lapses), "there was a lapse between");
    let (after, lapses) = (watched(&deadline), deadline.lapses());
    deadline.extend_to(AGES);
    assert!(after.until().is_some() && !deadline.has_outlived(lapses), "extended in time");
}

#[test]
fn waiting_ends_with_the_deadline_as_it_was_last_extended() {
    let deadline = Deadline::new().expect("a page");
    deadline.extend_to(boottime_nanoseconds() + 200_000_000);
    let watched = watched(&deadline);
    let last = boottime_nanoseconds() + 400_000_000;
    deadline.extend_to(last);
    watched.wait();
    assert!(boottime_nanoseconds() >= last);
}

/// Each way to write what a worker can only read.
#[test]
#[expect(unsafe_code, reason = "what a guest that has escaped would try")]
fn only_the_one_who_made_it_can_move_it() {
    let deadline = Deadline::new().expect("a page");
    let memory = &deadline.shared.memory;
    let watched = watched(&deadline);
    let write = |mut file: File| file.write(&[0xff; 8]).map(drop);
    let again = || File::options().read(true).write(true).open(format!("/proc/self/fd/{}", memory.as_raw_fd()));
    let page = std::ptr::from_ref(watched.page.term()).cast_mut().cast();
    let tries: [(&str, std::io::Result<()>); 5] = [
        ("write", memory.try_clone().map(File::from).and_then(write)),
        ("write, opened anew", again().and_then(write)),
        // SAFETY: a new map, which nothing uses.
        ("map", unsafe { mmap(std::ptr::null_mut(), 4096, ProtFlags::WRITE, MapFlags::SHARED, memory, 0) }.map(drop).map_err(Into::into)),
        // SAFETY: if it worked, the page could still be read.
        ("mprotect", unsafe { mprotect(page, 4096, MprotectFlags::READ | MprotectFlags::WRITE) }.map_err(Into::into)),
        ("shrink", rustix::fs::ftruncate(memory, 0).map_err(Into::into)),
    ];
    for (what, tried) in tries {
        assert_eq!(tried.expect_err(what).kind(), ErrorKind::PermissionDenied, "{what}");
    }
    deadline.extend_to(AGES);
    assert!(!deadline.passed(), "its maker still can");
}
