//! The calls about processes that no safe library offers: fork, wait with usage, exit without unwinding, what the allocator keeps.
//!
//! Everything else about processes goes through the standard library and rustix.

use std::any::Any;
use std::io;
use std::os::fd::AsRawFd;

use crate::order::ExitStatus;

/// Which side of a fork this is.
pub(crate) enum Forked {
    Parent { pid: i32 },
    Child,
}

/// A reaped child.
pub(crate) struct Reaped {
    pub(crate) status: ExitStatus,
    pub(crate) cpu_milliseconds: u64,
    pub(crate) peak_resident_bytes: u64,
}

/// Forks. Only a zygote and a compiler's keeper call it, which have one thread: nobody else's lock can be held in the child.
#[expect(unsafe_code, reason = "fork has no safe binding")]
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: both are single-threaded (they start no thread and no async runtime), so the child may go on as any process.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid }),
    }
}

/// Reaps `pid`, which has ended: does not block longer than that takes.
#[expect(unsafe_code, reason = "wait4 has no safe binding that reports usage")]
pub(crate) fn reap(pid: i32) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: rusage is plain integers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals of the right type.
    while unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } == -1 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let status =
        if libc::WIFSIGNALED(status) { ExitStatus::Signal(libc::WTERMSIG(status)) } else { ExitStatus::Code(libc::WEXITSTATUS(status)) };
    Ok(Reaped {
        status,
        cpu_milliseconds: milliseconds(usage.ru_utime).saturating_add(milliseconds(usage.ru_stime)),
        peak_resident_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    })
}

fn milliseconds(time: libc::timeval) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(time.tv_usec).unwrap_or(0) / 1000)
}

/// Closes every descriptor of this range: what a shell or a parent left open is not the sandbox's.
#[expect(unsafe_code, reason = "close_range has no safe binding: it closes descriptors that others may own")]
pub(crate) fn close_range(first: u32, last: u32) {
    // SAFETY: called at the very start of a process's life, where nothing uses a descriptor of that range again: owners of such, from
    // before a fork, are never dropped, since a worker ends by `exit_now`.
    unsafe { libc::close_range(first, last, 0) };
}

/// Ends this process at once: no destructors, no exit handlers of the process it was forked from.
#[expect(unsafe_code, reason = "_exit is marked unsafe")]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(code) }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("nothing")
}

/// Puts `file` in the place of stdin.
#[expect(unsafe_code, reason = "replacing a descriptor that others may own has no safe binding")]
pub(crate) fn replace_stdin(file: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: stdin is borrowed by nobody at a role's start.
    if unsafe { libc::dup2(file.as_raw_fd(), 0) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Puts stdin, which is `/dev/null` in every process of ours, in the place of stdout and stderr.
#[expect(unsafe_code, reason = "as for replace_stdin")]
pub(crate) fn drop_streams() -> io::Result<()> {
    for stream in [1, 2] {
        // SAFETY: whoever writes to these streams writes by number and never closes them.
        if unsafe { libc::dup3(0, stream, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets the allocator keep up to 64 MiB of freed memory for the next use. Buffers of the network's size are otherwise given back to the
/// system and asked for again, page by page: a seventh of the time that fetching takes. Does nothing with another C library than GNU's.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt has no safe binding"))]
pub(crate) fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no other thread runs yet, as `role::enter` asks for; both parameters are known to every version of the library.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
    }
}
