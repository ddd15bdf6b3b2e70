//! Attempts at code of one's own, and at more than the limits give.

use super::field::Field;
use super::files::open;
use super::kernel::{address, argument, call, call_with};

const PAGE: usize = 4096;
const OWN: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

fn map(bytes: usize, rights: i32, flags: i32, descriptor: usize) -> Result<usize, i32> {
    call(libc::SYS_mmap, [0, bytes, argument(rights), argument(flags), descriptor, 0])
}

pub(super) fn map_code(_: &Field) -> Result<(), i32> {
    map(PAGE, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, OWN, usize::MAX).map(drop)
}

pub(super) fn map_file_code(field: &Field) -> Result<(), i32> {
    let file = open(&field.output.join("code"), libc::O_RDWR | libc::O_CREAT)?;
    call_with(libc::SYS_write, [file, c"code".as_ptr().expose_provenance(), 4])?;
    map(PAGE, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE, file).map(drop)
}

pub(super) fn make_executable(_: &Field) -> Result<(), i32> {
    let page = map(PAGE, libc::PROT_READ | libc::PROT_WRITE, OWN, usize::MAX)?;
    call_with(libc::SYS_mprotect, [page, PAGE, argument(libc::PROT_READ | libc::PROT_EXEC)]).map(drop)
}

pub(super) fn share(_: &Field) -> Result<(), i32> {
    map(PAGE, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, usize::MAX).map(drop)
}

pub(super) fn grow_down(_: &Field) -> Result<(), i32> {
    map(PAGE, libc::PROT_READ | libc::PROT_WRITE, OWN | libc::MAP_GROWSDOWN, usize::MAX).map(drop)
}

pub(super) fn map_much(_: &Field) -> Result<(), i32> {
    map(64 << 30, libc::PROT_READ | libc::PROT_WRITE, OWN | libc::MAP_NORESERVE, usize::MAX).map(drop)
}

pub(super) fn raise_limit(_: &Field) -> Result<(), i32> {
    let mut limit = [0_u64; 2];
    let resource = libc::RLIMIT_NOFILE as usize;
    call_with(libc::SYS_prlimit64, [0, resource, 0, std::ptr::from_mut(&mut limit).expose_provenance()])?;
    limit[0] = limit[1];
    call_with(libc::SYS_prlimit64, [0, resource, address(&limit), 0]).map(drop)
}

pub(super) fn large_file(field: &Field) -> Result<(), i32> {
    let file = open(&field.output.join("large"), libc::O_RDWR | libc::O_CREAT)?;
    call_with(libc::SYS_ftruncate, [file, 1 << 40]).map(drop)
}
