//! seccomp filters: which system calls a process can make, and with which arguments. A filter on top of another only ever takes away.
//!
//! Three answers: the call is made; it fails (EPERM, or ENOSYS where libraries then take another way); or the process is killed, where
//! no library of ours makes the call and whoever does has broken out of the guest's sandbox. Names of calls are in `calls`.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{Error, calls};

/// Of `clone`: a thread as glibc makes it, and as musl does. Anything else would be a process.
const THREAD: u64 = 0x003d_0f00;
const THREAD_OF_MUSL: u64 = THREAD | 0x0040_0000;

/// A filter, ready to be raised.
pub(super) struct Filter(BpfProgram);

/// Calls by number; the conditions of one rule hold together, rules are alternatives, no rule means any arguments.
type Calls = BTreeMap<i64, Vec<SeccompRule>>;

/// One condition: the argument's position and what it must be.
type Condition = (u8, SeccompCmpOp, u64);

// === impl Filter ===

impl Filter {
    /// Raises it for the calling thread.
    pub(super) fn raise(&self) -> Result<(), Error> {
        seccompiler::apply_filter(&self.0).map_err(Error::Filter)
    }

    /// Raises it for every thread of this process, all of which must have the same filters so far.
    pub(super) fn raise_for_all(&self) -> Result<(), Error> {
        seccompiler::apply_filter_all_threads(&self.0).map_err(Error::Filter)
    }
}

/// Raises what a zygote and every worker from it have in common, in the zygote: this is the big filter, paid for once.
pub(super) fn raise_in_zygote() -> Result<(), Error> {
    let everything = calls::GUESTS.iter().chain(calls::THREADS).chain(calls::ZYGOTES);
    let mut allowed = any_arguments(everything);
    allowed.extend(with_arguments(&[
        (libc::SYS_fcntl, commands_of_fcntl()),
        // The times of an open file only: Landlock does not watch over times, so a path could lead anywhere.
        (libc::SYS_utimensat, vec![vec![(1, SeccompCmpOp::Eq, 0)]]),
        // To the other end only.
        (libc::SYS_sendto, vec![vec![(4, SeccompCmpOp::Eq, 0)]]),
    ])?);
    raise_all(allowed)
}

/// Raises a compiler's.
pub(super) fn raise_in_compiler() -> Result<(), Error> {
    let mut allowed = any_arguments(calls::COMPILERS.iter().chain(calls::THREADS));
    let own = u64::from(std::process::id());
    allowed.extend(with_arguments(&[
        (libc::SYS_fcntl, commands_of_fcntl()),
        (libc::SYS_clone, vec![vec![(0, SeccompCmpOp::Eq, THREAD)], vec![(0, SeccompCmpOp::Eq, THREAD_OF_MUSL)]]),
        (libc::SYS_tgkill, vec![vec![(0, SeccompCmpOp::Eq, own)]]),
        (libc::SYS_mmap, vec![vec![(3, SeccompCmpOp::MaskedEq(uncounted()), 0)]]),
    ])?);
    raise_all(allowed)
}

/// What a worker loses when its guest is about to begin: all that only zygotes need, processes of its own, signals to others, new
/// executable memory, and memory that no limit counts. Built before the order comes.
pub(super) fn of_worker() -> Result<Filter, Error> {
    let executable = libc::PROT_EXEC.unsigned_abs().into();
    let own = u64::from(std::process::id());
    let mut refused = any_arguments(calls::ZYGOTES.iter().filter(|call| **call != libc::SYS_clone && **call != libc::SYS_tgkill));
    refused.extend(with_arguments(&[
        (libc::SYS_clone, vec![vec![(0, SeccompCmpOp::Ne, THREAD), (0, SeccompCmpOp::Ne, THREAD_OF_MUSL)]]),
        (libc::SYS_tgkill, vec![vec![(0, SeccompCmpOp::Ne, own)]]),
        (
            libc::SYS_mmap,
            vec![
                vec![(2, SeccompCmpOp::MaskedEq(executable), executable)],
                vec![(3, SeccompCmpOp::MaskedEq(SHARED), SHARED)],
                vec![(3, SeccompCmpOp::MaskedEq(GROWS_DOWN), GROWS_DOWN)],
            ],
        ),
        (libc::SYS_mprotect, vec![vec![(2, SeccompCmpOp::MaskedEq(executable), executable)]]),
    ])?);
    build(refused, SeccompAction::Allow, EPERM)
}

/// Whether this kernel filters calls, and kills for them.
#[expect(unsafe_code, reason = "asking for an action has no safe binding")]
pub(super) fn is_there() -> bool {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads four bytes at the pointer, which is to a live local.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    answer == 0
}

const EPERM: SeccompAction = SeccompAction::Errno(libc::EPERM.unsigned_abs());
/// Memory that `RLIMIT_DATA` does not count: shared with a file or a child, and what grows like a stack.
const SHARED: u64 = libc::MAP_SHARED.unsigned_abs() as u64;
const GROWS_DOWN: u64 = libc::MAP_GROWSDOWN.unsigned_abs() as u64;

const fn uncounted() -> u64 {
    SHARED | GROWS_DOWN
}

/// No owner and no signal of a descriptor: those reach other processes.
fn commands_of_fcntl() -> Vec<Vec<Condition>> {
    calls::FCNTL.iter().map(|command| vec![(1, SeccompCmpOp::Eq, *command)]).collect()
}

/// The allowed calls, and nothing else; what nobody makes kills; threads are made by the call whose arguments can be seen.
fn raise_all(allowed: Calls) -> Result<(), Error> {
    build(any_arguments(calls::NOBODYS), SeccompAction::Allow, SeccompAction::KillProcess)?.raise()?;
    let unseen = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    build(any_arguments(&[libc::SYS_clone3]), SeccompAction::Allow, unseen)?.raise()?;
    // Last: raising filters is not among what a compiler may do.
    build(allowed, EPERM, SeccompAction::Allow)?.raise()
}

fn any_arguments<'a>(calls: impl IntoIterator<Item = &'a c_long>) -> Calls {
    calls.into_iter().map(|call| (*call, Vec::new())).collect()
}

fn with_arguments(calls: &[(c_long, Vec<Vec<Condition>>)]) -> Result<Calls, Error> {
    let condition = |(position, is, value): &Condition| SeccompCondition::new(*position, SeccompCmpArgLen::Qword, is.clone(), *value);
    let rule = |conditions: &Vec<Condition>| SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?);
    let rules = |(call, rules): &(c_long, Vec<Vec<Condition>>)| Ok((*call, rules.iter().map(rule).collect::<Result<_, _>>()?));
    calls.iter().map(rules).collect::<Result<_, BackendError>>().map_err(Error::Build)
}

fn build(calls: Calls, otherwise: SeccompAction, then: SeccompAction) -> Result<Filter, Error> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into().map_err(Error::Build)?;
    let filter = SeccompFilter::new(calls, otherwise, then, architecture).map_err(Error::Build)?;
    filter.try_into().map(Filter).map_err(Error::Build)
}
