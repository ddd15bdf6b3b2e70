//! What travels between the supervisor, the zygote and its workers: orders down, events up, framed JSON with file descriptors.
//!
//! Both ends treat the other's bytes as hostile: frames are bounded and decoded strictly.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crds::reason::Reason;
use crds::report::{ModuleKind, NetworkDenied};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Largest frame: 256 KiB of arguments and as much environment, escaped, fit.
const LARGEST_FRAME: usize = 4 << 20;
/// Most descriptors that travel with one frame.
const MOST_DESCRIPTORS: usize = 4;

/// One guest to run. Its descriptors: compiled module, stdin, stdout, stderr.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) kind: ModuleKind,
    pub(crate) entrypoint: Option<String>,
    /// `argv`, the program's name first.
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) preopens: Vec<Preopen>,
    pub(crate) limits: OrderLimits,
}

/// Variables may be of Secrets: their values are not printed.
impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variables: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Order").field("kind", &self.kind).field("args", &self.args).field("env", &variables).finish_non_exhaustive()
    }
}

/// What the guest may use at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderLimits {
    /// Bytes of linear memories and tables together.
    pub(crate) memory_bytes: u64,
    pub(crate) fuel: Option<u64>,
    pub(crate) max_stack_bytes: u64,
    pub(crate) max_table_elements: u64,
    /// Bytes of the largest file it may write.
    pub(crate) largest_file_bytes: u64,
}

/// A directory of this machine that the guest sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preopen {
    pub(crate) host: String,
    pub(crate) guest: String,
    pub(crate) writable: bool,
}

/// What a worker tells while and after its guest runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    /// Guest code starts now: the deadline counts from here.
    Started,
    /// First refused network call of this name.
    NetworkDenied(String),
    /// Linear memory and tables reached this many bytes (told when doubled, so that a killed guest has a figure).
    Grew(u64),
    Ended(Ending),
}

/// How the guest ended, and what it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    pub(crate) how: How,
    pub(crate) network_denied: Vec<NetworkDenied>,
    pub(crate) peak_memory_bytes: u64,
    /// Bytes in all that the guest asked for when growth was last refused.
    pub(crate) refused_bytes: Option<u64>,
    pub(crate) fuel_consumed: Option<u64>,
    /// From the order's leaving the supervisor until the guest's first instruction.
    pub(crate) instantiate_microseconds: u64,
    pub(crate) run_microseconds: u64,
}

/// How a guest's code came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// It returned, or exited with its own number.
    Exited(i32),
    Trapped {
        trap: String,
        backtrace: Vec<String>,
    },
    OutOfFuel,
    /// It could not be instantiated within its memory limit.
    MemoryLimit(String),
    /// It never ran, and why.
    Refused {
        reason: Reason,
        message: String,
    },
}

/// What the zygote tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Birth {
    /// A worker waits for its order. Its descriptors: its end of the socket, its pidfd.
    Ready { pid: i32 },
    /// A worker is gone and reaped.
    Exited { pid: i32, status: ExitStatus, cpu_milliseconds: u64, peak_resident_bytes: u64 },
    /// No worker could be forked.
    NotForked(String),
}

/// How a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ExitStatus {
    Code(i32),
    Signal(i32),
}

/// Microseconds of this machine's monotonic clock, which is the same in the supervisor and in its workers.
pub(crate) fn monotonic_microseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let whole = u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000_000);
    whole.saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1000)
}

/// One message as it travels.
pub(crate) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    if body.len() > LARGEST_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a frame of {} bytes is too large", body.len())));
    }
    let mut frame = u32::try_from(body.len()).expect("bounded above").to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// Sends one frame with its descriptors, and waits until all of it is on its way.
pub(crate) fn send(socket: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let frame = frame(message)?;
    // `sendmsg`, which can carry descriptors, is not for a worker whose guest has begun.
    let mut sent = if descriptors.is_empty() { 0 } else { send_first(&socket, &frame, descriptors)? };
    while sent < frame.len() {
        sent += match rustix::net::send(&socket, &frame[sent..], SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => 0,
            other => other?,
        };
    }
    Ok(())
}

/// Sends the beginning of a frame with its descriptors: the number of bytes.
pub(crate) fn send_first(socket: impl AsFd, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    Ok(sendmsg(&socket, &[IoSlice::new(frame)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// The first frame of what was received without descriptors, taken off; `None` while it is not whole.
pub(crate) fn take_frame<T: DeserializeOwned>(received: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some((length, rest)) = received.split_first_chunk::<4>() else { return Ok(None) };
    let length = checked_length(*length)?;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let message = serde_json::from_slice(body)?;
    received.drain(..4 + length);
    Ok(Some(message))
}

fn checked_length(length: [u8; 4]) -> io::Result<usize> {
    match u32::from_le_bytes(length) as usize {
        length if length > LARGEST_FRAME => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes is too large")))
        }
        length => Ok(length),
    }
}

/// Receives one frame with its descriptors; `None` at the end of the stream.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let Some(descriptors) = receive_first(&socket, &mut length)? else { return Ok(None) };
    let mut body = vec![0; checked_length(length)?];
    receive_exact(&socket, &mut body)?;
    Ok(Some((serde_json::from_slice(&body)?, descriptors)))
}

/// Fills `length`, keeping the descriptors that came with its first byte.
fn receive_first(socket: impl AsFd, length: &mut [u8; 4]) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(length)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors in one frame"));
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    receive_exact(&socket, &mut length[received.bytes..])?;
    Ok(Some(descriptors))
}

fn receive_exact(socket: impl AsFd, mut rest: &mut [u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match rustix::net::recv(&socket, &mut *rest, RecvFlags::empty()) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((received, _)) => rest = &mut rest[received..],
            Err(rustix::io::Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
