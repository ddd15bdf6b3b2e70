//! The system calls, by who makes them. A call in no list fails with EPERM in a worker and in a compiler.
//!
//! Arguments are `filter`'s. Calls that only old architectures have are in the lists of those.

use libc::c_long;

/// What a guest's host calls, wasmtime and the C library do while a guest runs.
pub(super) const GUESTS: &[c_long] = &[
    // Streams and open files.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_dup,
    // Names: Landlock's.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    // Waiting.
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

/// What every thread of ours does, whatever it is for.
pub(super) const THREADS: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Answered with ENOSYS by a filter of its own: of two errors that filters give, the newer one's counts, so no other may refuse it.
    libc::SYS_clone3,
];

/// What a zygote does besides, and a worker until its guest begins: births and deaths, orders, walls.
pub(super) const ZYGOTES: &[c_long] = &[
    libc::SYS_clone,
    libc::SYS_tgkill,
    libc::SYS_wait4,
    libc::SYS_getppid,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_socketpair,
    libc::SYS_setsockopt,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_close_range,
    libc::SYS_dup3,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_seccomp,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

/// What a compiler does besides: it has its module, its output and its answer open, and opens nothing.
pub(super) const COMPILERS: &[c_long] = &[libc::SYS_read, libc::SYS_write, libc::SYS_lseek, libc::SYS_fstat, libc::SYS_statx];

/// Commands of `fcntl`.
pub(super) const FCNTL: &[u64] = &[
    libc::F_GETFD.unsigned_abs() as u64,
    libc::F_SETFD.unsigned_abs() as u64,
    libc::F_GETFL.unsigned_abs() as u64,
    libc::F_SETFL.unsigned_abs() as u64,
    libc::F_DUPFD_CLOEXEC.unsigned_abs() as u64,
];

/// What neither we nor a library of ours ever does, not even to see whether it is there: who does has broken out.
pub(super) const NOBODYS: &[c_long] = &[
    // The network.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // Rights and surroundings.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_open_by_handle_at,
    libc::SYS_mknodat,
    // Large parts of the kernel that have been ways out before.
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
];
