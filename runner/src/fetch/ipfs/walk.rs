//! From a CID to files in the store: a file's pieces in order, a directory's entries. Asks no server itself.
//!
//! The DAG is hostile: everything it can make grow has a limit here (bytes, entries, depth, steps, memory held), and nothing of what it
//! names reaches the file system except through the store.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crds::digest::Digest;
use crds::reason::Reason;

use super::super::body::Intake;
use super::super::{Progress, Want};
use super::blocks::Blocks;
use super::cid::{self, BlockKey, Cid};
use super::hamt::{Position, hash};
use super::unixfs::{self, Link, Links, Node, Piece, Shard, UnixFsError};
use crate::failure::Failure;
use crate::store::{Blob, Store};

/// Deepest file: 174 links a level, as the smallest usual width has it, hold any file in nine.
const MAX_FILE_DEPTH: usize = 32;
/// Deepest directory, shards counted.
const MAX_DIRECTORY_DEPTH: usize = 128;
/// Longest path of an entry, in bytes (PATH_MAX).
const MAX_PATH_BYTES: usize = 4096;
/// Most blocks looked at, each time counted: a small DAG can link to the same block again and again. 256 GiB in the usual pieces.
const MAX_STEPS: u64 = 1 << 20;
/// Memory for the nodes between the root and where the walk is.
const MAX_HELD_BYTES: usize = 24 << 20;

/// What a walk may bring into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of all files together.
    pub(super) bytes: u64,
    /// Files and directories.
    pub(super) entries: u64,
}

/// What a walk found, in the store.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Paths below the root, parents first.
    pub(super) directories: Vec<String>,
    pub(super) files: Vec<FoundFile>,
    /// The root is a file; it is the only one and has no path.
    pub(super) is_file: bool,
}

/// One file.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) path: String,
    pub(super) cid: Cid,
    pub(super) blob: Blob,
}

/// One walk under way.
struct Walk<'a, 'b> {
    blocks: &'a mut Blocks<'b>,
    store: &'a Store,
    progress: &'a Progress,
    limits: Limits,
    root: Cid,
    bytes: u64,
    entries: u64,
    steps: u64,
    held_bytes: usize,
    /// Files that are in the store already, for those that are there under several names.
    known: HashMap<(u64, BlockKey), Blob>,
    found: Found,
}

/// A directory, or a shard of one, with entries still to visit.
struct Level {
    path: String,
    links: Links,
    next: usize,
    shard: Option<(Shard, Position)>,
}

// === impl Limits ===

impl Limits {
    /// Whether the source `root` may have so many bytes and entries.
    pub(super) fn check(&self, root: &Cid, bytes: u64, entries: u64) -> Result<(), Failure> {
        let too_large = |what: String| Err(Failure::new(Reason::FetchTooLarge, format!("ipfs: {root} has more than {what}")));
        if bytes > self.bytes {
            return too_large(format!("{} bytes, the limit for this source", self.bytes));
        }
        if entries > self.entries {
            return too_large(format!("{} files and directories, the limit for an input", self.entries));
        }
        Ok(())
    }
}

/// Brings the file that `root` is into the store.
pub(super) async fn file(blocks: &mut Blocks<'_>, root: Cid, want: Want<'_>, store: &Store, progress: &Progress) -> Result<Blob, Failure> {
    blocks.want(root);
    let mut walk = Walk::new(blocks, root, Limits { bytes: want.max_bytes, entries: 1 }, store, progress);
    match walk.read(&root).await? {
        Node::File(piece) => walk.file(&root, piece, want.expected).await,
        Node::Directory(_) | Node::Shard(_) => {
            Err(Failure::new(Reason::InvalidSpec, format!("ipfs: {root} is a directory, a file is needed: name one with `path`")))
        }
    }
}

/// Brings the file or directory that `root` is into the store.
pub(super) async fn tree(blocks: &mut Blocks<'_>, root: Cid, limits: Limits, store: &Store, progress: &Progress) -> Result<Found, Failure> {
    blocks.want(root);
    let mut walk = Walk::new(blocks, root, limits, store, progress);
    match walk.read(&root).await? {
        Node::File(piece) => {
            let blob = walk.file(&root, piece, None).await?;
            walk.found.is_file = true;
            walk.found.files.push(FoundFile { path: String::new(), cid: root, blob });
        }
        node => walk.directory(&root, node).await?,
    }
    Ok(walk.found)
}

// === impl Walk ===

impl<'a, 'b> Walk<'a, 'b> {
    fn new(blocks: &'a mut Blocks<'b>, root: Cid, limits: Limits, store: &'a Store, progress: &'a Progress) -> Self {
        let (bytes, entries, steps, held_bytes) = (0, 0, 0, 0);
        Self { blocks, store, progress, limits, root, bytes, entries, steps, held_bytes, known: HashMap::new(), found: Found::default() }
    }

    async fn read(&mut self, cid: &Cid) -> Result<Node, Failure> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Failure::new(Reason::FetchTooLarge, format!("ipfs: {} has more than {MAX_STEPS} links", self.root)));
        }
        // Where every block is at hand nothing waits: others, and the deadline, get their turn here.
        if self.steps.is_multiple_of(256) {
            tokio::task::yield_now().await;
        }
        let block = self.blocks.get(cid).await?;
        read(cid, &block)
    }

    async fn file(&mut self, cid: &Cid, piece: Piece, expected: Option<&Digest>) -> Result<Blob, Failure> {
        let size = piece.size;
        self.bytes = self.bytes.saturating_add(size);
        self.limits.check(&self.root, self.bytes, self.entries)?;
        self.progress.expect(size);
        let known = cid::key(cid).map(|key| (cid.codec(), key));
        if let Some(blob) = known.and_then(|known| self.known.get(&known)) {
            self.progress.fetched_bytes.fetch_add(size, Ordering::Relaxed);
            return Ok(blob.clone());
        }
        let what = format!("ipfs: {cid}");
        let mut intake = Intake::new(self.store, size, self.progress);
        self.pieces(cid, piece, &mut intake, &what).await?;
        let blob = intake.finish(expected, &what).await?;
        if let Some(known) = known {
            self.known.insert(known, blob.clone());
        }
        Ok(blob)
    }

    /// Takes a file's bytes in order. That the sizes agree level by level makes them add up to the root's.
    async fn pieces(&mut self, cid: &Cid, root: Piece, intake: &mut Intake<'_>, what: &str) -> Result<(), Failure> {
        let mut stack = vec![];
        self.take(root, intake, what, &mut stack).await?;
        while let Some((piece, next)) = stack.last_mut() {
            let index = *next;
            *next += 1;
            let Some(size) = piece.sizes.get(index).copied() else {
                self.held_bytes -= piece.links.held_bytes();
                stack.pop();
                continue;
            };
            let child = link(cid, &piece.links, index)?.cid;
            let Node::File(piece) = self.read(&child).await? else {
                return Err(unusable(&child, &UnixFsError::UnixFs("it is a directory inside a file")));
            };
            if piece.size != size {
                return Err(unusable(&child, &UnixFsError::FileSize { claimed: size, sum: piece.size }));
            }
            if stack.len() >= MAX_FILE_DEPTH {
                return Err(unusable(cid, &UnixFsError::UnixFs("its pieces are nested too deeply")));
            }
            self.take(piece, intake, what, &mut stack).await?;
        }
        Ok(())
    }

    /// Takes a piece's own bytes, and puts it on the stack when there are more below it.
    async fn take(&mut self, piece: Piece, intake: &mut Intake<'_>, what: &str, stack: &mut Vec<(Piece, usize)>) -> Result<(), Failure> {
        let Piece { data, links, sizes, size } = piece;
        if !data.is_empty() {
            intake.push(data, what).await?;
        }
        if links.len() > 0 {
            self.hold(&links)?;
            stack.push((Piece { data: Bytes::new(), links, sizes, size }, 0));
        }
        Ok(())
    }

    async fn directory(&mut self, cid: &Cid, node: Node) -> Result<(), Failure> {
        let mut stack = vec![self.level(String::new(), node, Position::default())?];
        while let Some(level) = stack.last_mut() {
            let index = level.next;
            level.next += 1;
            if index >= level.links.len() {
                self.held_bytes -= level.links.held_bytes();
                stack.pop();
                continue;
            }
            let Link { cid: child, name } = link(cid, &level.links, index)?;
            let entry = level.entry(index, &name).map_err(|error| unusable(&child, &error))?;
            let node = self.read(&child).await?;
            let below = match (entry, node) {
                (Entry::Named(path), Node::File(piece)) => {
                    self.count_entry(&path)?;
                    let blob = self.file(&child, piece, None).await?;
                    self.found.files.push(FoundFile { path, cid: child, blob });
                    continue;
                }
                (Entry::Named(path), node) => {
                    self.count_entry(&path)?;
                    self.found.directories.push(path.clone());
                    self.level(path, node, Position::default())?
                }
                (Entry::Shard(path, position), node @ Node::Shard(_)) => self.level(path, node, position)?,
                (Entry::Shard(..), _) => return Err(unusable(&child, &UnixFsError::Shard("something else than a shard below it"))),
            };
            if stack.len() >= MAX_DIRECTORY_DEPTH {
                return Err(unusable(&self.root, &UnixFsError::UnixFs("its directories are nested too deeply")));
            }
            stack.push(below);
        }
        Ok(())
    }

    fn level(&mut self, path: String, node: Node, position: Position) -> Result<Level, Failure> {
        let (links, shard) = match node {
            Node::Directory(links) => (links, None),
            Node::Shard(shard) => (shard.links.clone(), Some((shard, position))),
            Node::File(piece) => (piece.links, None),
        };
        self.hold(&links)?;
        Ok(Level { path, links, next: 0, shard })
    }

    fn hold(&mut self, links: &Links) -> Result<(), Failure> {
        self.held_bytes += links.held_bytes();
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(Failure::new(Reason::FetchTooLarge, format!("ipfs: the nodes of {} are too large to walk", self.root)));
        }
        Ok(())
    }

    fn count_entry(&mut self, path: &str) -> Result<(), Failure> {
        self.entries += 1;
        self.limits.check(&self.root, self.bytes, self.entries)?;
        if path.len() > MAX_PATH_BYTES {
            return Err(unusable(&self.root, &UnixFsError::UnixFs("a path in it has more than 4096 bytes")));
        }
        Ok(())
    }
}

/// Where a link of a directory leads.
enum Entry {
    Named(String),
    Shard(String, Position),
}

// === impl Level ===

impl Level {
    fn entry(&self, index: usize, name: &str) -> Result<Entry, UnixFsError> {
        let Some((shard, position)) = &self.shard else { return Ok(Entry::Named(self.below(name))) };
        let below = position.below(shard, index)?;
        let name = &name[shard.prefix..];
        if name.is_empty() {
            return Ok(Entry::Shard(self.path.clone(), below));
        }
        // Each name has one place in the whole directory, so no name can be there twice.
        if below.holds(hash(name)) { Ok(Entry::Named(self.below(name))) } else { Err(UnixFsError::Shard("a name in the wrong slot")) }
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }
}

pub(super) fn read(cid: &Cid, block: &Bytes) -> Result<Node, Failure> {
    unixfs::read(cid, block).map_err(|error| unusable(cid, &error))
}

pub(super) fn link(cid: &Cid, links: &Links, index: usize) -> Result<Link, Failure> {
    let link = links.get(index).unwrap_or(Err(UnixFsError::DagPb("a link is missing")));
    link.map_err(|error| unusable(cid, &error))
}

pub(super) fn unusable(cid: &Cid, error: &UnixFsError) -> Failure {
    Failure::new(Reason::CidInvalid, format!("ipfs: {cid} cannot be used: {error}"))
}
