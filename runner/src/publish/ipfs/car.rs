//! What is published → its blocks as one CAR (version 1), read from the files twice: once for the root, which stands at its beginning, and
//! once while it is sent. Sends nothing.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use crds::reason::Reason;
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::block::{self, Block, Link};
use super::{directory, file};
use crate::failure::Failure;
use crate::publish::contents::{Contents, MANIFEST, Part};
use crate::publish::{changed, open_file, unread, unsafe_output};

/// Chunks on their way to the connection.
const ON_THE_WAY: usize = 4;
/// A chunk is sent when it has so many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Most steps of a path.
const DEEPEST: usize = 128;

/// A CAR that can be sent any number of times.
#[derive(Clone, Debug)]
pub(super) struct Car {
    root: Cid,
    /// Each file with what it was when the root was found.
    files: Arc<[(Part, Cid)]>,
    /// The manifest's blocks and those of the directories.
    others: Arc<[Block]>,
    bytes: u64,
}

#[derive(Serialize)]
struct Header {
    roots: Vec<Cid>,
    version: u64,
}

/// Gathers bytes into chunks.
struct Sender {
    to: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

// === impl Car ===

impl Car {
    /// Reads every file.
    pub(super) async fn plan(contents: &Contents) -> Result<Self, Failure> {
        let (parts, manifest) = (contents.parts(), contents.manifest().to_json());
        let planned = tokio::task::spawn_blocking(move || Self::planned(parts, &manifest)).await;
        planned
            .unwrap_or_else(|_| Err(Failure::new(Reason::PublishFailed, "the thread that reads the output died; this is a defect of ours")))
    }

    fn planned(parts: Vec<Part>, manifest: &[u8]) -> Result<Self, Failure> {
        if let Some(part) = parts.iter().find(|part| part.file.path.split('/').count() > DEEPEST) {
            return Err(unsafe_output(&format!(
                "{:?}: more than {DEEPEST} folders deep, which few readers of IPFS follow",
                part.file.path
            )));
        }
        let mut others = Vec::new();
        let mut links = Vec::with_capacity(parts.len() + 1);
        let mut files = Vec::with_capacity(parts.len());
        let mut bytes = 0;
        for part in parts {
            let link = cut(&part, &mut |block| {
                bytes += framed(&block);
                Ok(())
            })?;
            links.push((part.file.path.clone(), link.clone()));
            files.push((part, link.cid));
        }
        let mut keep = |block| {
            others.push(block);
            Ok(())
        };
        let manifest = file::cut(manifest, &mut keep).map_err(|error| unread(MANIFEST, error))?;
        links.push((MANIFEST.to_owned(), manifest.link));
        let root = directory::tree(links.into_iter(), &mut others).map_err(|error| unsafe_output(&error.to_string()))?.cid;
        bytes += others.iter().map(framed).sum::<u64>();
        Ok(Self { root, files: files.into(), others: others.into(), bytes })
    }

    pub(super) fn root(&self) -> &Cid {
        &self.root
    }

    /// About, without the header.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes, and what became of reading them once all of them were taken or nobody takes them any more.
    pub(super) fn stream(&self) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, oneshot::Receiver<Result<(), Failure>>) {
        let (to, from) = mpsc::channel(ON_THE_WAY);
        let (done, told) = oneshot::channel();
        let car = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut sender = Sender { to, chunk: Vec::with_capacity(CHUNK_BYTES) };
            let written = car.write(&mut sender);
            if written.is_err() {
                // Ends the request: half a CAR must not look like a whole one.
                let _ = sender.to.blocking_send(Err(io::Error::other("the output cannot be read")));
            }
            let _ = done.send(written);
        });
        (stream::unfold(from, async |mut from| from.recv().await.map(|chunk| (chunk, from))), told)
    }

    fn write(&self, sender: &mut Sender) -> Result<(), Failure> {
        let header = serde_ipld_dagcbor::to_vec(&Header { roots: vec![self.root], version: 1 });
        let header = header.expect("a CID and a number can always be written");
        let mut start = Vec::new();
        block::varint(&mut start, header.len() as u64);
        start.extend(header);
        // Nobody takes it any more: what went wrong there is told there.
        let mut nobody = sender.push(&start).is_err();
        for (part, cid) in self.files.iter() {
            let read = cut(part, &mut |block| sender.block(&block));
            match read {
                _ if sender.to.is_closed() => nobody = true,
                Ok(link) if link.cid == *cid => {}
                Ok(_) => return Err(changed(&part.file.path)),
                Err(failure) => return Err(failure),
            }
            if nobody {
                return Ok(());
            }
        }
        let others = self.others.iter().try_for_each(|block| sender.block(block));
        // As before.
        let _ = others.and_then(|()| sender.flush());
        Ok(())
    }
}

/// A file's blocks; the link to its root, without a name.
fn cut(part: &Part, give: &mut impl FnMut(Block) -> io::Result<()>) -> Result<Link, Failure> {
    let Part { directory, file, .. } = part;
    let opened = open_file(directory.as_fd(), &file.path, file.size_bytes)?;
    let piece = file::cut(opened.take(file.size_bytes), give).map_err(|error| unread(&file.path, error))?;
    if piece.file_bytes == file.size_bytes { Ok(piece.link) } else { Err(changed(&file.path)) }
}

/// Bytes of a block in a CAR, about.
fn framed(block: &Block) -> u64 {
    (block.bytes.len() + block.cid.encoded_len() + 4) as u64
}

// === impl Sender ===

impl Sender {
    fn block(&mut self, block: &Block) -> io::Result<()> {
        let cid = block.cid.to_bytes();
        let mut length = Vec::new();
        block::varint(&mut length, (cid.len() + block.bytes.len()) as u64);
        self.push(&length)?;
        self.push(&cid)?;
        self.push(&block.bytes)
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.to.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
