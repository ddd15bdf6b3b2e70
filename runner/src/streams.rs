//! The guest's stdout and stderr on their way out: as they come, capped, with their last bytes kept.
//!
//! Interprets nothing of what passes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use crds::report::StreamReport;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::oneshot;

use crate::task::Sink;

/// Bytes of a stream that the report keeps.
const TAIL_BYTES: usize = 4096;

/// One stream that is not copied yet.
pub(crate) struct Pipe {
    /// The guest's end.
    pub(crate) guest: OwnedFd,
    reader: OwnedFd,
}

/// One stream being copied.
pub(crate) struct Stream {
    /// The guest's end.
    pub(crate) guest: OwnedFd,
    report: oneshot::Receiver<StreamReport>,
}

// === impl Pipe ===

impl Pipe {
    pub(crate) fn open() -> io::Result<Self> {
        let (reader, guest) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self { guest, reader })
    }

    /// Copies what the guest writes into `sink`, at most `cap` bytes; the rest is counted and dropped.
    pub(crate) fn copy(self, sink: Sink, cap: u64) -> io::Result<Stream> {
        let Self { guest, reader } = self;
        let (sender, report) = oneshot::channel();
        std::thread::Builder::new().name("stream".to_owned()).spawn(move || {
            // Nobody waits for the report of an attempt that was given up.
            let _ = sender.send(copy(File::from(reader), sink, cap));
        })?;
        Ok(Stream { guest, report })
    }
}

// === impl Stream ===

impl Stream {
    /// Waits until the guest's end is closed, here and in the worker.
    pub(crate) async fn finish(self) -> StreamReport {
        drop(self.guest);
        self.report.await.unwrap_or_default()
    }
}

fn copy(mut reader: File, sink: Sink, cap: u64) -> StreamReport {
    let mut sink = match sink {
        Sink::Tail => None,
        Sink::File(file) => Some(file),
    };
    let mut tail = VecDeque::with_capacity(TAIL_BYTES);
    let mut bytes = 0_u64;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let room = usize::try_from(cap.saturating_sub(bytes)).unwrap_or(usize::MAX);
        let passing = &buffer[..read.min(room)];
        bytes = bytes.saturating_add(read as u64);
        keep_last(&mut tail, passing);
        if let Some(file) = &mut sink
            && file.write_all(passing).is_err()
        {
            // Whoever read along is gone (`| head`). The guest learns of it as any program would: by EPIPE.
            break;
        }
    }
    StreamReport { tail: text(tail), bytes, truncated: bytes > cap }
}

fn keep_last(tail: &mut VecDeque<u8>, passing: &[u8]) {
    let last = &passing[passing.len().saturating_sub(TAIL_BYTES)..];
    let surplus = (tail.len() + last.len()).saturating_sub(TAIL_BYTES);
    tail.drain(..surplus);
    tail.extend(last);
}

/// UTF-8, beginning at a character and not within one.
fn text(tail: VecDeque<u8>) -> String {
    let full = tail.len() == TAIL_BYTES;
    let bytes: Vec<u8> = tail.into();
    let within = if full { bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count() } else { 0 };
    String::from_utf8_lossy(&bytes[within..]).into_owned()
}

#[cfg(test)]
mod tests;
