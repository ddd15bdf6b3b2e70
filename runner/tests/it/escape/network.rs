//! Attempts at the network, and at the socket that a worker has.

use super::field::Field;
use super::kernel::{address, argument, call_with};

fn socket(family: i32, kind: i32) -> Result<(), i32> {
    call_with(libc::SYS_socket, [argument(family), argument(kind), 0]).map(drop)
}

pub(super) fn inet(_: &Field) -> Result<(), i32> {
    socket(libc::AF_INET, libc::SOCK_STREAM)
}

pub(super) fn inet6(_: &Field) -> Result<(), i32> {
    socket(libc::AF_INET6, libc::SOCK_DGRAM)
}

pub(super) fn unix(_: &Field) -> Result<(), i32> {
    socket(libc::AF_UNIX, libc::SOCK_STREAM)
}

pub(super) fn netlink(_: &Field) -> Result<(), i32> {
    socket(libc::AF_NETLINK, libc::SOCK_RAW)
}

pub(super) fn pair(_: &Field) -> Result<(), i32> {
    let mut ends = [0; 2];
    socketpair(&mut ends)
}

fn socketpair(ends: &mut [i32; 2]) -> Result<(), i32> {
    let ends = std::ptr::from_mut(ends).expose_provenance();
    call_with(libc::SYS_socketpair, [argument(libc::AF_UNIX), argument(libc::SOCK_STREAM), 0, ends]).map(drop)
}

/// A cmsghdr: its length, the level, the kind; and one descriptor.
#[repr(C)]
struct Control(usize, i32, i32, i32, i32);

/// Of a socket of its own where it can have one, else of whatever the worker has.
pub(super) fn pass_descriptor(_: &Field) -> Result<(), i32> {
    let mut ends = [3; 2];
    let _ = socketpair(&mut ends);
    let control = Control(size_of::<usize>() + 12, libc::SOL_SOCKET, libc::SCM_RIGHTS, 0, 0);
    let byte = 0_u8;
    let vector = [address(&byte), 1];
    // msghdr: no name, one vector, the control.
    let message = [0, 0, address(&vector), 1, address(&control), size_of::<Control>(), 0];
    call_with(libc::SYS_sendmsg, [argument(ends[0]), address(&message), 0]).map(drop)
}
