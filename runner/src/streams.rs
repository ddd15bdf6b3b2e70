//! The guest's stdout and stderr on their way out: as they come, capped, with their last bytes kept.
//!
//! Interprets nothing of what passes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use crds::report::StreamReport;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use crate::task::Sink;

/// Bytes of a stream that the report keeps.
const TAIL_BYTES: usize = 4096;
/// Bytes that are read at once: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

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

/// What the report keeps of a stream.
struct Kept {
    cap: u64,
    tail: VecDeque<u8>,
    bytes: u64,
}

// === impl Pipe ===

impl Pipe {
    pub(crate) fn open() -> io::Result<Self> {
        let (reader, guest) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self { guest, reader })
    }

    /// Copies what the guest writes into `sink`, and into `spool` where there is one, at most `cap` bytes; the rest is counted and dropped.
    /// A spool that could not hold all of it is shorter than the report says.
    ///
    /// # Panics
    /// Outside of an async runtime.
    pub(crate) fn copy(self, sink: Sink, spool: Option<File>, cap: u64) -> io::Result<Stream> {
        let Self { guest, reader } = self;
        let (sender, report) = oneshot::channel();
        // Nobody waits for the report of an attempt that was given up.
        match (sink, spool) {
            (Sink::Tail, None) => {
                let reader = Receiver::from_owned_fd(reader)?;
                tokio::spawn(async move { drop(sender.send(keep(reader, cap).await)) });
            }
            (sink, spool) => {
                let sink = if let Sink::File(file) = sink { Some(file) } else { None };
                let copying = move || drop(sender.send(copy(File::from(reader), sink, spool, cap)));
                std::thread::Builder::new().name("stream".to_owned()).spawn(copying)?;
            }
        }
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

/// Only what the report keeps. Most guests write nothing, so there is no thread and no buffer before they do.
async fn keep(mut reader: Receiver, cap: u64) -> StreamReport {
    let mut kept = Kept::new(cap);
    let mut buffer = Vec::new();
    while reader.readable().await.is_ok() {
        buffer.clear();
        buffer.reserve(READ_BYTES);
        if !matches!(reader.read_buf(&mut buffer).await, Ok(1..)) {
            break;
        }
        kept.pass(&buffer);
    }
    kept.report()
}

fn copy(mut reader: File, mut sink: Option<File>, mut spool: Option<File>, cap: u64) -> StreamReport {
    let mut kept = Kept::new(cap);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let passing = kept.pass(&buffer[..read]);
        // A full disk does not stop the guest; that the spool is too short is found when it is published.
        spool = spool.take_if(|spool| spool.write_all(passing).is_ok());
        if sink.as_mut().is_some_and(|sink| sink.write_all(passing).is_err()) {
            // Whoever read along is gone (`| head`). The guest learns of it as any program would: by EPIPE.
            break;
        }
    }
    kept.report()
}

// === impl Kept ===

impl Kept {
    fn new(cap: u64) -> Self {
        Self { cap, tail: VecDeque::new(), bytes: 0 }
    }

    /// What of these bytes may pass, the last of which is kept.
    fn pass<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = usize::try_from(self.cap.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let passing = &bytes[..bytes.len().min(room)];
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let last = &passing[passing.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (self.tail.len() + last.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
        self.tail.extend(last);
        passing
    }

    fn report(self) -> StreamReport {
        StreamReport { tail: text(self.tail), bytes: self.bytes, truncated: self.bytes > self.cap }
    }
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
