//! Counts a stream, stops it where it exceeds what is allowed next, and remembers where its last byte that is not zero was.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// More bytes were read than were allowed.
#[derive(Debug, thiserror::Error)]
#[error("more bytes than are allowed here")]
pub(super) struct Overrun;

/// A reader with an allowance. A tar reader keeps whole extensions in memory, whatever size they claim: this bounds them.
pub(super) struct Meter<R> {
    inner: R,
    state: State,
}

/// What a meter has seen; clones are the same.
#[derive(Clone)]
pub(super) struct State(Rc<Seen>);

struct Seen {
    allowed: Cell<u64>,
    read: Cell<u64>,
    last_byte: Cell<u64>,
    given_up: Arc<AtomicBool>,
}

// === impl State ===

impl State {
    pub(super) fn new(given_up: Arc<AtomicBool>) -> Self {
        Self(Rc::new(Seen { allowed: Cell::new(0), read: Cell::new(0), last_byte: Cell::new(0), given_up }))
    }

    /// So many bytes may be read from here on.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.allowed.set(bytes);
    }

    /// Bytes read in all.
    pub(super) fn read(&self) -> u64 {
        self.0.read.get()
    }

    /// The offset after the last byte that was not zero.
    pub(super) fn last_byte(&self) -> u64 {
        self.0.last_byte.get()
    }
}

// === impl Meter ===

impl<R> Meter<R> {
    pub(super) fn new(inner: R, state: &State) -> Self {
        Self { inner, state: state.clone() }
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let seen = &self.state.0;
        if seen.given_up.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let allowed = usize::try_from(seen.allowed.get()).unwrap_or(usize::MAX).min(buffer.len());
        // With nothing left, one byte more tells whether there is one: the end is allowed everywhere.
        let read = self.inner.read(&mut buffer[..allowed.max(1)])?;
        if read > allowed {
            return Err(io::Error::other(Overrun));
        }
        seen.allowed.set(seen.allowed.get() - read as u64);
        if let Some(last) = buffer[..read].iter().rposition(|byte| *byte != 0) {
            seen.last_byte.set(seen.read.get() + last as u64 + 1);
        }
        seen.read.set(seen.read.get() + read as u64);
        Ok(read)
    }
}
