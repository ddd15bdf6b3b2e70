//! Attempts at the kernel's larger parts, and how calls are made.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libc::c_long;

use super::field::Field;

/// A system call without any library in between: its answer or its error number.
#[expect(unsafe_code, reason = "what an escaped guest would do")]
pub(super) fn call(number: c_long, arguments: [usize; 6]) -> Result<usize, i32> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: every caller passes what lives on, and what the kernel may write to.
    let answer = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    usize::try_from(answer).map_err(|_| std::io::Error::last_os_error().raw_os_error().expect("a call that failed says why"))
}

/// As `call`, with the arguments that matter.
pub(super) fn call_with<const N: usize>(number: c_long, arguments: [usize; N]) -> Result<usize, i32> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    call(number, all)
}

pub(super) fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}

pub(super) fn address<T>(of: &T) -> usize {
    std::ptr::from_ref(of).expose_provenance()
}

/// `AT_FDCWD`, as an argument.
pub(super) fn here() -> usize {
    argument(libc::AT_FDCWD)
}

pub(super) fn argument(number: i32) -> usize {
    number.cast_unsigned() as usize
}

pub(super) fn io_uring(_: &Field) -> Result<(), i32> {
    let parameters = [0_u8; 120];
    call_with(libc::SYS_io_uring_setup, [1, address(&parameters)]).map(drop)
}

pub(super) fn bpf(_: &Field) -> Result<(), i32> {
    // An array of one number.
    let mut attributes = [0_u32; 32];
    attributes[..4].copy_from_slice(&[2, 4, 4, 1]);
    call_with(libc::SYS_bpf, [0, address(&attributes), 72]).map(drop)
}

pub(super) fn perf(_: &Field) -> Result<(), i32> {
    // The processor's clock, as a counter in software.
    let mut attributes = [0_u32; 32];
    (attributes[0], attributes[1]) = (1, 128);
    call_with(libc::SYS_perf_event_open, [address(&attributes), 0, usize::MAX, usize::MAX, 0]).map(drop)
}

pub(super) fn userfaultfd(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_userfaultfd, [argument(libc::O_CLOEXEC)]).map(drop)
}

pub(super) fn user_namespace(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_unshare, [argument(libc::CLONE_NEWUSER)]).map(drop)
}

pub(super) fn enter_namespace(_: &Field) -> Result<(), i32> {
    let descriptor =
        call_with(libc::SYS_openat, [here(), text(Path::new("/proc/self/ns/uts")).as_ptr().expose_provenance(), 0, 0]).unwrap_or(0);
    call_with(libc::SYS_setns, [descriptor, argument(libc::CLONE_NEWUTS)]).map(drop)
}

pub(super) fn mount(field: &Field) -> Result<(), i32> {
    let (directory, kind) = (text(&field.output), c"tmpfs");
    call_with(
        libc::SYS_mount,
        [kind.as_ptr().expose_provenance(), directory.as_ptr().expose_provenance(), kind.as_ptr().expose_provenance(), 0, 0],
    )?;
    call_with(libc::SYS_umount2, [directory.as_ptr().expose_provenance(), 0]).map(drop)
}

pub(super) fn chroot(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_chroot, [text(&field.output).as_ptr().expose_provenance()]).map(drop)
}

pub(super) fn personality(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_personality, [argument(libc::READ_IMPLIES_EXEC)]).map(drop)
}

pub(super) fn memfd(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_memfd_create, [c"code".as_ptr().expose_provenance(), 0]).map(drop)
}

pub(super) fn inotify(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_inotify_init1, [0]).map(drop)
}

pub(super) fn ioctl(_: &Field) -> Result<(), i32> {
    call_with(libc::SYS_ioctl, [0, usize::try_from(libc::FIOCLEX).unwrap()]).map(drop)
}
