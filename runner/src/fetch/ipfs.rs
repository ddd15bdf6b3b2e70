//! IPFS: a CID, and a path below it, → a file or a directory in the store, from trustless gateways and kubo's RPC.
//!
//! No server is believed: every block is checked against its CID, and a DAG counts as fetched only when a walk over all of it has found
//! no block missing. What a CID names never changes, so the digests of its files are noted and asked for only once.
//!
//! | file | lives here |
//! |---|---|
//! | `cid` | which CIDs are accepted, and the check of a block |
//! | `car` | a CAR stream → checked blocks |
//! | `wire`, `unixfs`, `hamt` | a block → a node, a name → its place |
//! | `gateway`, `stream` | asking servers, what they send, and what became of it |
//! | `kept`, `blocks` | the next block that is needed, from wherever it can be had |
//! | `resolve`, `walk` | from the CID along the path to the root, and from there to the files in the store |
//! | `listing` | what a finished walk leaves for the next one |

mod blocks;
mod car;
mod cid;
#[cfg(test)]
mod fixtures;
mod gateway;
mod hamt;
mod kept;
mod listing;
mod resolve;
mod stream;
mod unixfs;
mod walk;
mod wire;

use std::sync::OnceLock;

use crds::digest::Digest;
use crds::reason::Reason;
use crds::source::IpfsSource;
use url::{Host, Url};

use self::blocks::Blocks;
pub use self::cid::{Cid, parse_cid};
use self::gateway::{Kind, Network, Sources};
use self::listing::Listing;
use self::walk::{Found, Limits};
use super::body::mismatch;
use super::http::{Http, trusted_client};
use super::path::{file_name, safe_path};
use super::{FetchLimits, Fetched, Progress, Tree, TreeFile, Want, no_digest};
use crate::failure::Failure;
use crate::store::Store;

/// Servers that have blocks, asked in this order. They are reached wherever they are, unlike what a spec names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpfsAccess {
    /// Trustless gateways.
    pub gateways: Vec<Url>,
    /// kubo RPC endpoints.
    pub rpc: Vec<Url>,
}

/// Gets CIDs.
#[derive(Debug)]
pub(crate) struct Ipfs {
    limits: FetchLimits,
    servers: Vec<(Kind, Url)>,
    client: OnceLock<reqwest::Client>,
}

/// A source, parsed.
struct Place<'a> {
    cid: Cid,
    path: Vec<&'a str>,
}

// === impl Ipfs ===

impl Ipfs {
    pub(crate) fn new(limits: FetchLimits, access: IpfsAccess) -> Self {
        let IpfsAccess { gateways, rpc } = access;
        let gateways = gateways.into_iter().map(|url| (Kind::Gateway, by_address(url)));
        let servers = gateways.chain(rpc.into_iter().map(|url| (Kind::Rpc, url))).collect();
        Self { limits, servers, client: OnceLock::new() }
    }

    /// The file that `source` names. Servers are asked only for what the store does not have; `checked` follows their redirects.
    pub(crate) async fn file(
        &self,
        (store, checked): (&Store, &Http),
        source: &IpfsSource,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<Fetched, Failure> {
        let place = Place::parse(source)?;
        let name = place.path.last().and_then(|last| file_name(last));
        let network = self.network(checked)?;
        let limits = Limits { bytes: want.max_bytes, entries: 1 };
        if let Some(listing) = listing::look_up(store, &place.key()).await
            && listing.is_file
            && let Some(TreeFile { blob, .. }) = self.restore(store, network, &place, (listing, limits), progress).await?.files.pop()
            && want.expected.is_none_or(|expected| *expected == blob.digest())
        {
            return Ok(Fetched { blob, name });
        }
        let mut blocks = self.blocks(store, network, &place)?;
        let root = resolve::resolve(&mut blocks, place.cid, &place.path).await?;
        let blob = walk::file(&mut blocks, root, want, store, progress).await?;
        listing::keep(store, &place.key(), &Listing::of_file(&root, &blob)).await;
        Ok(Fetched { blob, name })
    }

    /// The files below what `source` names; of a single file, that one under its own name, else `fallback_name`.
    pub(crate) async fn tree(
        &self,
        (store, checked): (&Store, &Http),
        source: &IpfsSource,
        (fallback_name, expected): (&str, Option<&Digest>),
        progress: &Progress,
    ) -> Result<Tree, Failure> {
        let place = Place::parse(source)?;
        let network = self.network(checked)?;
        let limits = Limits { bytes: self.limits.input_bytes, entries: self.limits.input_entries };
        let (is_file, tree) = store
            .once(&place.key(), async {
                if let Some(listing) = listing::look_up(store, &place.key()).await {
                    let is_file = listing.is_file;
                    return Ok((is_file, self.restore(store, network, &place, (listing, limits), progress).await?));
                }
                let mut blocks = self.blocks(store, network, &place)?;
                let root = resolve::resolve(&mut blocks, place.cid, &place.path).await?;
                let found = walk::tree(&mut blocks, root, limits, store, progress).await?;
                listing::keep(store, &place.key(), &Listing::of(&found)).await;
                Ok((found.is_file, tree_of(found)?))
            })
            .await?;
        if !is_file {
            no_digest(expected, "an ipfs directory")?;
            return Ok(tree);
        }
        let Some(TreeFile { blob, .. }) = tree.files.into_iter().next() else { return Ok(Tree::default()) };
        if let Some(expected) = expected.filter(|expected| **expected != blob.digest()) {
            return Err(mismatch(&place.key(), expected, &blob.digest()));
        }
        let name = place.path.last().and_then(|last| file_name(last)).unwrap_or_else(|| fallback_name.to_owned());
        Ok(Tree::of_one(name, blob))
    }

    /// The files of an earlier walk: from the store, and those that were evicted from the servers.
    async fn restore(
        &self,
        store: &Store,
        network: Network<'_>,
        place: &Place<'_>,
        (listing, limits): (Listing, Limits),
        progress: &Progress,
    ) -> Result<Tree, Failure> {
        limits.check(&place.cid, listing.bytes(), listing.entries())?;
        let (listing, blobs) = listing::blobs(store, listing).await;
        let mut blocks = None;
        let mut files = Vec::with_capacity(blobs.len());
        for (listed, blob) in listing.files.into_iter().zip(blobs) {
            let blob = if let Some(blob) = blob {
                progress.is_known(blob.size_bytes());
                blob
            } else {
                let blocks = match blocks.as_mut() {
                    Some(blocks) => blocks,
                    None => blocks.insert(self.blocks(store, network, place)?),
                };
                let want = Want { expected: Some(&listed.digest), max_bytes: limits.bytes };
                walk::file(blocks, parse_cid(&listed.cid)?, want, store, progress).await?
            };
            files.push(TreeFile { path: listed.path, blob });
        }
        Ok(Tree { directories: listing.directories, files })
    }

    fn blocks<'a>(&self, store: &Store, network: Network<'a>, place: &Place<'_>) -> Result<Blocks<'a>, Failure> {
        Blocks::new(Sources::new(network, self.servers.iter().cloned(), place.cid), store.directory())
    }

    fn network<'a>(&'a self, checked: &'a Http) -> Result<Network<'a>, Failure> {
        Ok(Network { trusted: self.trusted_client()?, checked, limits: &self.limits })
    }

    /// For the servers that were configured, wherever they are.
    pub(crate) fn trusted_client(&self) -> Result<&reqwest::Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let built = trusted_client(&self.limits)?;
        Ok(self.client.get_or_init(|| built))
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    fn parse(source: &'a IpfsSource) -> Result<Self, Failure> {
        let cid = parse_cid(&source.cid)?;
        let path = source.path.as_deref().unwrap_or_default();
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self { cid, path: Vec::new() });
        }
        let refused = |why: &str| Failure::new(Reason::InvalidSpec, format!("ipfs.path {path:?} is not accepted: {why}"));
        safe_path(path).map_err(|why| refused(&why.to_string()))?;
        // Nothing is decoded here; whoever writes these means a separator, or wants to see what happens.
        let lower = path.to_ascii_lowercase();
        if ["%2f", "%5c", "%00", "%2e%2e", "%2e.", ".%2e"].iter().any(|escape| lower.contains(escape)) {
            return Err(refused("it has percent-escapes; write the name itself"));
        }
        Ok(Self { cid, path: path.split('/').collect() })
    }

    /// What tells this place from others: also how it is written.
    fn key(&self) -> String {
        let path: String = self.path.iter().flat_map(|segment| ["/", segment]).collect();
        format!("ipfs://{}{path}", self.cid)
    }
}

/// A gateway on this machine by its address: asked by the name `localhost`, kubo redirects to a name for each CID, which most resolvers
/// do not know.
fn by_address(mut url: Url) -> Url {
    if url.host() == Some(Host::Domain("localhost")) {
        // Fails only for URLs without a host.
        let _ = url.set_host(Some("127.0.0.1"));
    }
    url
}

fn tree_of(found: Found) -> Result<Tree, Failure> {
    let Found { directories, files, is_file } = found;
    let mut files = files.into_iter().map(|file| TreeFile { path: file.path, blob: file.blob });
    match files.next() {
        // A file has no path of its own yet; whoever asked names it.
        Some(only) if is_file => Ok(Tree { directories, files: vec![only] }),
        first => Tree::new(directories, first.into_iter().chain(files).collect())
            .map_err(|error| Failure::new(Reason::CidInvalid, format!("ipfs: {error}"))),
    }
}

#[cfg(test)]
mod tests;
