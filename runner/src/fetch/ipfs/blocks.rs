//! The next block that a walk needs: from what is kept, from the CAR stream under way, from the next source, at last asked for alone.
//!
//! Every block that leaves here was checked against its CID. What a block means is not known here.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use crds::reason::Reason;

use super::car::Block;
use super::cid::{self, BlockKey, Cid};
use super::gateway::Sources;
use super::kept::Kept;
use super::stream::CarStream;
use crate::failure::Failure;

/// Blocks up to this size stay in the spool once used: cheap to keep, dear to ask for one by one.
const SMALL_BYTES: usize = 64 << 10;
/// Bytes that a stream may send without any of them being needed yet, beyond what earlier streams brought.
const MAX_UNUSED_BYTES: u64 = 256 << 20;
/// Most different blocks of one fetch: 256 GiB in the usual pieces, and about 100 MB of memory for their keys at the very most.
const MAX_BLOCKS: usize = 1 << 20;

/// The blocks of one fetch.
pub(super) struct Blocks<'a> {
    sources: Sources<'a>,
    kept: Kept,
    /// Blocks that were handed out.
    used: HashSet<BlockKey>,
    used_bytes: u64,
    /// What streams are asked for; none while a path is resolved.
    root: Option<Cid>,
    stream: Option<CarStream>,
}

// === impl Blocks ===

impl<'a> Blocks<'a> {
    pub(super) fn new(sources: Sources<'a>, spool_directory: &Path) -> Result<Self, Failure> {
        let kept = Kept::new(spool_directory).map_err(|error| spool_failure(&error))?;
        Ok(Self { sources, kept, used: HashSet::new(), used_bytes: 0, root: None, stream: None })
    }

    /// From now on the DAG below `root` is wanted: it is asked for as a whole as soon as a block of it is missing.
    pub(super) fn want(&mut self, root: Cid) {
        // A raw block is a DAG of one: asked for alone.
        self.root = (root.codec() != cid::RAW).then_some(root);
        self.stream = None;
        self.sources.allow_streams();
    }

    /// The bytes that `cid` names.
    pub(super) async fn get(&mut self, cid: &Cid) -> Result<Bytes, Failure> {
        if let Some(inline) = cid::inline(cid) {
            return Ok(Bytes::copy_from_slice(inline));
        }
        let key = cid::key(cid).ok_or_else(|| Failure::new(Reason::CidInvalid, format!("{cid} cannot be checked")))?;
        if let Some(data) = self.kept.get(&key).map_err(|error| spool_failure(&error))? {
            self.note_use(key, &data)?;
            return Ok(data);
        }
        // What a stream has passed it does not send again.
        let data = match self.root {
            Some(root) if !self.used.contains(&key) => self.stream_until(&root, cid).await?,
            _ => None,
        };
        let data = match data {
            Some(data) => data,
            None => self.sources.block(cid).await?,
        };
        self.note_use(key, &data)?;
        self.kept.remember(key, data.clone());
        Ok(data)
    }

    /// Keeps a block that came ahead of its use.
    pub(super) fn keep(&mut self, block: &Block) -> Result<(), Failure> {
        let Some(key) = cid::key(&block.cid) else { return Ok(()) };
        if self.used.contains(&key) {
            return Ok(());
        }
        self.kept.spool(key, &block.data).map_err(|error| spool_failure(&error))?;
        self.check_count()
    }

    async fn stream_until(&mut self, root: &Cid, wanted: &Cid) -> Result<Option<Bytes>, Failure> {
        let key = cid::key(wanted);
        loop {
            if self.stream.is_none() {
                self.stream = self.sources.stream(root).await;
            }
            let Some(stream) = self.stream.as_mut() else { return Ok(None) };
            match stream.next(MAX_UNUSED_BYTES + self.used_bytes).await {
                Ok(Some(block)) if cid::key(&block.cid) == key => {
                    stream.note_used(block.data.len());
                    return Ok(Some(block.data));
                }
                Ok(Some(block)) => self.keep(&block)?,
                Ok(None) => {
                    let failure = stream.failure(Reason::CarIncomplete, &format!("sent a CAR without block {wanted}"));
                    self.leave(failure);
                }
                Err(failure) => self.leave(failure),
            }
        }
    }

    fn leave(&mut self, failure: Failure) {
        if let Some(stream) = self.stream.take() {
            self.sources.note_failure(stream.source(), failure);
        }
    }

    fn note_use(&mut self, key: BlockKey, data: &Bytes) -> Result<(), Failure> {
        if self.used.insert(key) {
            self.used_bytes += data.len() as u64;
            if data.len() <= SMALL_BYTES {
                self.kept.spool(key, data).map_err(|error| spool_failure(&error))?;
            }
        }
        self.check_count()
    }

    fn check_count(&self) -> Result<(), Failure> {
        if self.used.len().max(self.kept.spooled()) > MAX_BLOCKS {
            return Err(Failure::new(Reason::FetchTooLarge, format!("the data has more than {MAX_BLOCKS} blocks")));
        }
        Ok(())
    }
}

fn spool_failure(error: &std::io::Error) -> Failure {
    Failure::new(Reason::FetchFailed, format!("blocks could not be kept in the store's directory: {error}"))
}
