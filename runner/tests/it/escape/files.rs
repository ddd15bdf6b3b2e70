//! Attempts at files: what belongs to others, what is only to be read, and what may still be open.

use std::path::Path;

use super::field::Field;
use super::kernel::{address, argument, call, call_with, here, text};

/// Where a worker's own descriptors end at the latest.
const DESCRIPTORS: usize = 64;

pub(super) fn open(path: &Path, flags: i32) -> Result<usize, i32> {
    call_with(libc::SYS_openat, [here(), text(path).as_ptr().expose_provenance(), argument(flags), 0o600])
}

fn read(path: &Path) -> Result<(), i32> {
    let file = open(path, libc::O_RDONLY)?;
    let byte = [0_u8; 8];
    call_with(libc::SYS_read, [file, address(&byte), 8]).map(drop)
}

fn remove(path: &Path) -> Result<(), i32> {
    call_with(libc::SYS_unlinkat, [here(), text(path).as_ptr().expose_provenance(), 0]).map(drop)
}

/// With a call that takes two places: `linkat`, `renameat`.
fn from_to(number: libc::c_long, from: &Path, to: &Path) -> Result<(), i32> {
    call_with(number, [here(), text(from).as_ptr().expose_provenance(), here(), text(to).as_ptr().expose_provenance(), 0]).map(drop)
}

pub(super) fn read_the_token(field: &Field) -> Result<(), i32> {
    read(&field.secret)
}

pub(super) fn read_another(field: &Field) -> Result<(), i32> {
    read(&field.other.join("result"))
}

pub(super) fn list_another(field: &Field) -> Result<(), i32> {
    let directory = open(&field.other, libc::O_RDONLY | libc::O_DIRECTORY)?;
    let entries = [0_u64; 64];
    call_with(libc::SYS_getdents64, [directory, address(&entries), 512]).map(drop)
}

pub(super) fn create_in_another(field: &Field) -> Result<(), i32> {
    open(&field.other.join("new"), libc::O_WRONLY | libc::O_CREAT).map(drop)
}

pub(super) fn append_to_another(field: &Field) -> Result<(), i32> {
    open(&field.other.join("result"), libc::O_WRONLY | libc::O_APPEND).map(drop)
}

/// As often as there may be directories above.
pub(super) fn climb(field: &Field) -> Result<(), i32> {
    let own = open(&field.output, libc::O_RDONLY | libc::O_DIRECTORY)?;
    let path = format!("{}{}", "../".repeat(32), field.secret.display());
    call_with(libc::SYS_openat, [own, text(path.as_ref()).as_ptr().expose_provenance(), 0, 0]).map(drop)
}

pub(super) fn follow_own_link(field: &Field) -> Result<(), i32> {
    let link = field.output.join("link");
    call_with(libc::SYS_symlinkat, [text(&field.secret).as_ptr().expose_provenance(), here(), text(&link).as_ptr().expose_provenance()])?;
    read(&link)
}

pub(super) fn link_another(field: &Field) -> Result<(), i32> {
    from_to(libc::SYS_linkat, &field.other.join("result"), &field.output.join("linked"))
}

pub(super) fn move_another(field: &Field) -> Result<(), i32> {
    from_to(libc::SYS_renameat, &field.other.join("result"), &field.output.join("moved"))
}

pub(super) fn remove_another(field: &Field) -> Result<(), i32> {
    remove(&field.other.join("result"))
}

pub(super) fn truncate_input(field: &Field) -> Result<(), i32> {
    open(&input(field), libc::O_RDONLY | libc::O_TRUNC).map(drop)
}

pub(super) fn truncate_input_by_path(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_truncate, [text(&input(field)).as_ptr().expose_provenance(), 0]).map(drop)
}

pub(super) fn create_beside_input(field: &Field) -> Result<(), i32> {
    open(&field.input.join("new"), libc::O_WRONLY | libc::O_CREAT).map(drop)
}

pub(super) fn remove_input(field: &Field) -> Result<(), i32> {
    remove(&input(field))
}

pub(super) fn link_input(field: &Field) -> Result<(), i32> {
    from_to(libc::SYS_linkat, &input(field), &field.output.join("linked"))
}

pub(super) fn change_mode(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_fchmodat, [here(), text(&input(field)).as_ptr().expose_provenance(), 0o777]).map(drop)
}

pub(super) fn change_owner(field: &Field) -> Result<(), i32> {
    call_with(libc::SYS_fchownat, [here(), text(&input(field)).as_ptr().expose_provenance(), usize::MAX, usize::MAX, 0]).map(drop)
}

pub(super) fn change_times(field: &Field) -> Result<(), i32> {
    let times = [0_i64; 4];
    call_with(libc::SYS_utimensat, [here(), text(&input(field)).as_ptr().expose_provenance(), address(&times), 0]).map(drop)
}

pub(super) fn change_attributes(field: &Field) -> Result<(), i32> {
    let (name, path) = (c"user.canary", text(&input(field)));
    call_with(
        libc::SYS_setxattr,
        [path.as_ptr().expose_provenance(), name.as_ptr().expose_provenance(), name.as_ptr().expose_provenance(), 1, 0],
    )
    .map(drop)
}

/// The first regular file among the descriptors, by its place in `/proc`.
pub(super) fn reopen_for_writing(field: &Field) -> Result<(), i32> {
    // Where there is none, the own input is one.
    let _ = open(&input(field), libc::O_RDONLY);
    let file = (3..DESCRIPTORS).find(|descriptor| about(*descriptor).is_ok_and(|about| about.st_mode & libc::S_IFMT == libc::S_IFREG));
    let path = format!("/proc/self/fd/{}", file.unwrap_or(3));
    open(path.as_ref(), libc::O_RDWR).map(drop)
}

pub(super) fn read_environment(field: &Field) -> Result<(), i32> {
    read(format!("/proc/{}/environ", field.victim).as_ref())
}

pub(super) fn open_memory(field: &Field) -> Result<(), i32> {
    open(format!("/proc/{}/mem", field.victim).as_ref(), libc::O_RDWR).map(drop)
}

/// A stream that is not `/dev/null`, a regular file that can be written (but for a compiler's output), a second socket.
pub(super) fn find_descriptor(field: &Field) -> Result<(), i32> {
    let is = |descriptor: usize, kind: libc::mode_t| about(descriptor).is_ok_and(|about| about.st_mode & libc::S_IFMT == kind);
    let writable = |descriptor: usize| {
        let flags = call_with(libc::SYS_fcntl, [descriptor, argument(libc::F_GETFL)]);
        // One that is refused counts: who cannot look must not take it for closed.
        flags.map_or_else(|error| error != libc::EBADF, |flags| flags & argument(libc::O_ACCMODE) != argument(libc::O_RDONLY))
    };
    let others = || 3..DESCRIPTORS;
    let mut sockets: Vec<_> =
        others().filter(|descriptor| is(*descriptor, libc::S_IFSOCK)).map(|socket| about(socket).map(|s| s.st_ino)).collect();
    sockets.dedup();
    let leads_away = (0..3).any(|stream| !is(stream, libc::S_IFCHR))
        || others().filter(|descriptor| is(*descriptor, libc::S_IFREG) && writable(*descriptor)).count() > field.own_files
        || sockets.len() > 1;
    if leads_away { Ok(()) } else { Err(libc::EBADF) }
}

pub(super) fn make_device(field: &Field) -> Result<(), i32> {
    let (path, null) = (text(&field.output.join("null")), 1 << 8 | 3);
    call_with(libc::SYS_mknodat, [here(), path.as_ptr().expose_provenance(), (libc::S_IFCHR | 0o666) as usize, null]).map(drop)
}

pub(super) fn open_by_handle(field: &Field) -> Result<(), i32> {
    // file_handle: the room behind it, its kind, the bytes.
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let mount = 0_i32;
    let name = text(&field.secret);
    let _ = call(libc::SYS_name_to_handle_at, [here(), name.as_ptr().expose_provenance(), address(&handle), address(&mount), 0, 0]);
    let directory = open(&field.output, libc::O_RDONLY | libc::O_DIRECTORY).unwrap_or(here());
    call_with(libc::SYS_open_by_handle_at, [directory, address(&handle), 0]).map(drop)
}

fn input(field: &Field) -> std::path::PathBuf {
    field.input.join("input")
}

/// What a descriptor is.
fn about(descriptor: usize) -> Result<libc::stat, i32> {
    let mut about = std::mem::MaybeUninit::<libc::stat>::zeroed();
    call_with(libc::SYS_fstat, [descriptor, about.as_mut_ptr().expose_provenance()])?;
    #[expect(unsafe_code, reason = "the kernel has filled it in")]
    // SAFETY: all zeroes is a stat too.
    Ok(unsafe { about.assume_init() })
}
