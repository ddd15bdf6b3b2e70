//! One page of memory that one process writes and others can only read, whatever they do.
//!
//! Knows nothing of what the numbers in it mean.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::Term;

const PAGE_BYTES: usize = 4096;

/// The writer's map. All zero at first.
#[derive(Debug)]
pub(super) struct Writable(Map);

/// A reader's map, which the kernel lets nobody make writable.
#[derive(Debug)]
pub(super) struct ReadOnly(Map);

#[derive(Debug)]
struct Map(NonNull<Term>);

// === impl Writable ===

impl Writable {
    /// The map, and the memory behind it for readers.
    pub(super) fn create() -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create("lease", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memory, PAGE_BYTES as u64)?;
        let map = Map::new(&memory, ProtFlags::READ | ProtFlags::WRITE)?;
        // From here on neither a descriptor nor a new map can write; this map still can.
        fcntl_add_seals(&memory, SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Self(map), memory))
    }

    pub(super) fn term(&self) -> &Term {
        self.0.term()
    }
}

// === impl ReadOnly ===

impl ReadOnly {
    pub(super) fn open(memory: &OwnedFd) -> io::Result<Self> {
        Map::new(memory, ProtFlags::READ).map(Self)
    }

    /// To be read only: the map lies in memory that cannot be written.
    pub(super) fn term(&self) -> &Term {
        self.0.term()
    }
}

// === impl Map ===

impl Map {
    #[expect(unsafe_code, reason = "shared memory has no safe binding")]
    fn new(memory: impl AsFd, access: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new map, over nothing that is there.
        let page = unsafe { mmap(std::ptr::null_mut(), PAGE_BYTES, access, MapFlags::SHARED, memory, 0) }?;
        Ok(Self(NonNull::new(page.cast()).expect("a map that was made is not at null")))
    }

    #[expect(unsafe_code, reason = "shared memory has no safe binding")]
    fn term(&self) -> &Term {
        // SAFETY: the map is as large as a page, aligned to one, never shrinks (it is sealed), and lives as long as this. A term is
        // atomic integers, which any bytes are and which other processes may change at any time.
        unsafe { self.0.as_ref() }
    }
}

#[expect(unsafe_code, reason = "the map holds only atomic integers, which threads may share")]
// SAFETY: see the reason.
unsafe impl Send for Map {}
#[expect(unsafe_code, reason = "as for Send")]
// SAFETY: see the reason.
unsafe impl Sync for Map {}

impl Drop for Map {
    #[expect(unsafe_code, reason = "as for new")]
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nothing borrows from a map that is dropped.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), PAGE_BYTES) };
    }
}
