//! Attempts at other processes, and at being one that nobody watches.

use super::field::{Field, NOTHING_TO_DO};
use super::files::open;
use super::kernel::{address, argument, call, call_with};

fn victim(field: &Field) -> usize {
    argument(field.victim)
}

/// The child, where there is one, ends at once.
fn forked(child: usize) {
    if child == 0 {
        let _ = call_with(libc::SYS_exit_group, [0]);
    }
}

pub(super) fn fork(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_clone, [argument(libc::SIGCHLD)]).map(forked)
}

pub(super) fn fork_by_clone3(_: &Field) -> Result<(), i32> {
    // clone_args: the signal at its end is the fifth of eight numbers.
    let mut arguments = [0_u64; 8];
    arguments[4] = u64::from(libc::SIGCHLD.unsigned_abs());
    call_with(libc::SYS_clone3, [address(&arguments), 64]).map(forked)
}

pub(super) fn start_program(_: &Field) -> Result<(), i32> {
    let name = std::ffi::CString::new(NOTHING_TO_DO).expect("no NUL");
    let arguments = [name.as_ptr().expose_provenance(), 0];
    call_with(libc::SYS_execve, [c"/proc/self/exe".as_ptr().expose_provenance(), address(&arguments), address(&0_usize)]).map(drop)
}

pub(super) fn start_open_program(_: &Field) -> Result<(), i32> {
    let name = std::ffi::CString::new(NOTHING_TO_DO).expect("no NUL");
    let arguments = [name.as_ptr().expose_provenance(), 0];
    let program = open("/proc/self/exe".as_ref(), libc::O_RDONLY).unwrap_or(0);
    let environment = address(&0_usize);
    let flags = argument(libc::AT_EMPTY_PATH);
    call(libc::SYS_execveat, [program, c"".as_ptr().expose_provenance(), address(&arguments), environment, flags, 0]).map(drop)
}

pub(super) fn kill(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_kill, [victim(field), argument(libc::SIGKILL)]).map(drop)
}

pub(super) fn kill_thread(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_tgkill, [victim(field), victim(field), argument(libc::SIGKILL)]).map(drop)
}

pub(super) fn queue_signal(field: &Field) -> Result<(), i32> {
    // siginfo: the signal, no error, sent by sigqueue.
    let mut information = [0_i32; 32];
    (information[0], information[2]) = (libc::SIGTERM, -1);
    call_with(libc::SYS_rt_sigqueueinfo, [victim(field), argument(libc::SIGTERM), address(&information)]).map(drop)
}

pub(super) fn own_descriptor(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_fcntl, [0, argument(libc::F_SETOWN), victim(field)]).map(drop)
}

pub(super) fn hold(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_pidfd_open, [victim(field), 0]).map(drop)
}

pub(super) fn trace(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, victim(field), 0, 0]).map(drop)
}

fn memory(number: libc::c_long, field: &Field) -> Result<(), i32> {
    let own = 1_u64;
    let (here, there) = ([address(&own), 8], [field.address, 8]);
    call(number, [victim(field), address(&here), 1, address(&there), 1, 0]).map(drop)
}

pub(super) fn read_memory(field: &Field) -> Result<(), i32> {
    memory(libc::SYS_process_vm_readv, field)
}

pub(super) fn write_memory(field: &Field) -> Result<(), i32> {
    memory(libc::SYS_process_vm_writev, field)
}

pub(super) fn limit(field: &Field) -> Result<(), i32> {
    let limit = [1_u64 << 20; 2];
    call_with(libc::SYS_prlimit64, [victim(field), libc::RLIMIT_CPU as usize, address(&limit), 0]).map(drop)
}

pub(super) fn slow_down(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, victim(field), 19]).map(drop)
}

pub(super) fn pin(field: &Field) -> Result<(), i32> {
    let first = 1_u64;
    call_with(libc::SYS_sched_setaffinity, [victim(field), 8, address(&first)]).map(drop)
}

pub(super) fn outlive(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_prctl, [argument(libc::PR_SET_PDEATHSIG), 0]).map(drop)
}

pub(super) fn leave_group(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_setpgid, [0, 0]).map(drop)
}
