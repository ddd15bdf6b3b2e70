//! A source → verified bytes in the store: dispatch, the limits every scheme obeys, and what a fetch yields.
//!
//! Trusts nothing that a server says of itself; runs nothing.

pub mod address;
mod archive;
pub(crate) mod body;
mod http;
mod inline;
pub mod ipfs;
mod oci;
pub mod path;
pub(crate) mod retry;
pub mod s3;
mod scatter;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crds::digest::Digest;
use crds::job::Unpack;
use crds::reason::Reason;
use crds::source::Source;
use futures_util::FutureExt as _;

use self::address::AddressPolicy;
use self::http::Http;
use self::ipfs::{Ipfs, IpfsAccess};
use self::oci::Oci;
use self::s3::{S3, S3Access};
pub use self::tree::{Tree, TreeError, TreeFile};
use crate::failure::Failure;
use crate::store::{Blob, Store};

/// Everything a `Fetcher` needs to know.
#[derive(Clone, Debug, Default)]
pub struct FetchConfig {
    pub limits: FetchLimits,
    pub addresses: AddressPolicy,
    pub s3: S3Access,
    pub ipfs: IpfsAccess,
}

/// Gets what specs name into the store. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
    s3: Arc<S3>,
}

/// One verified file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub blob: Blob,
    /// What its source calls it, if that is a safe file name.
    pub name: Option<String>,
}

/// Caps and deadlines of one fetch. They apply while streaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// Largest module, in bytes.
    pub module_bytes: u64,
    /// Largest input, all its files together, in bytes.
    pub input_bytes: u64,
    /// Most files and directories in one input.
    pub input_entries: u64,
    pub connect_timeout: Duration,
    /// Longest silence of a server, between two reads.
    pub idle_timeout: Duration,
    /// A transfer slower than this many bytes per second over `rate_window` is given up.
    pub min_bytes_per_second: u64,
    pub rate_window: Duration,
    /// Longest whole fetch of one source.
    pub total_timeout: Duration,
    /// Most redirects in a row.
    pub redirects: u8,
}

/// Bytes fetched so far, for whoever shows progress. Written by the fetch, read by anybody.
#[derive(Debug, Default)]
pub struct Progress {
    pub fetched_bytes: AtomicU64,
    /// 0 while unknown.
    pub total_bytes: AtomicU64,
}

/// What a fetch must yield: bytes with this digest, where one is given, and no more than so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want<'a> {
    pub(crate) expected: Option<&'a Digest>,
    pub(crate) max_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    config: FetchConfig,
    store: Store,
    http: Http,
    ipfs: Ipfs,
}

// === impl Fetcher ===

impl Fetcher {
    pub fn new(config: FetchConfig, store: Store) -> Result<Self, Failure> {
        let http = Http::new(config.limits.clone(), config.addresses.clone());
        let s3 = S3::new(config.limits.clone(), config.addresses.clone(), config.s3.clone());
        let ipfs = Ipfs::new(config.limits.clone(), config.ipfs.clone());
        Ok(Self { shared: Arc::new(Shared { config, store, http, ipfs }), s3: Arc::new(s3) })
    }

    /// The same, but for how S3 is reached. What one access may read, another is not given, unless it names the digest of the bytes.
    #[must_use]
    pub fn with_s3(&self, access: S3Access) -> Self {
        Self { shared: Arc::clone(&self.shared), s3: Arc::new(self.s3.with_access(access)) }
    }

    pub(crate) fn s3(&self) -> &S3 {
        &self.s3
    }

    /// For servers that were configured, wherever they are.
    pub(crate) fn trusted_client(&self) -> Result<&reqwest::Client, Failure> {
        self.shared.ipfs.trusted_client()
    }

    pub fn config(&self) -> &FetchConfig {
        &self.shared.config
    }

    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// One file: a module, or an input that is a single file. With `expected` in the store already, nothing is asked of the network.
    pub async fn file(
        &self,
        source: Source<'_>,
        expected: Option<&Digest>,
        max_bytes: u64,
        progress: &Progress,
    ) -> Result<Fetched, Failure> {
        self.one(source, Want { expected, max_bytes }, false, progress).await
    }

    /// The files of an input. A single file is called what its source calls it, else `fallback_name`.
    pub async fn tree(
        &self,
        source: Source<'_>,
        fallback_name: &str,
        expected: Option<&Digest>,
        progress: &Progress,
    ) -> Result<Tree, Failure> {
        match source {
            Source::S3(s3) if s3.key.is_none() => {
                no_digest(expected, "an s3 prefix")?;
                self.in_time(self.s3.tree(&self.shared.store, s3, progress).boxed()).await
            }
            Source::Ipfs(ipfs) => {
                let shared = &self.shared;
                self.in_time(shared.ipfs.tree((&shared.store, &shared.http), ipfs, (fallback_name, expected), progress).boxed()).await
            }
            Source::Oci(oci) => self.in_time(self.oci().tree(oci, (fallback_name, expected), progress).boxed()).await,
            Source::ConfigMap(_) => Err(in_clusters_only("configMap", FILE_OR_INLINE)),
            Source::Http(_) | Source::S3(_) | Source::Inline(_) => {
                let want = Want { expected, max_bytes: self.shared.config.limits.input_bytes };
                let fetched = self.one(source, want, true, progress).await?;
                Ok(Tree::of_one(fetched.name.unwrap_or_else(|| fallback_name.to_owned()), fetched.blob))
            }
        }
    }

    /// What the archive holds that `tree` is, which must be a single file.
    pub async fn unpack(&self, tree: &Tree, unpack: Unpack) -> Result<Tree, Failure> {
        let shared = &self.shared;
        self.in_time(archive::of_tree(&shared.store, tree, unpack, &shared.config.limits).boxed()).await
    }

    /// One file from the store or its source; `named` when its name matters too.
    async fn one(&self, source: Source<'_>, want: Want<'_>, named: bool, progress: &Progress) -> Result<Fetched, Failure> {
        if let Some(known) = self.known(source, want, named).await? {
            progress.is_known(known.blob.size_bytes());
            return Ok(known);
        }
        let key = want.expected.map_or_else(|| format!("{source:?}"), ToString::to_string);
        let work = async {
            // Whoever was here before may have brought it.
            match self.known(source, want, named).await? {
                Some(known) => Ok(known),
                None => self.fetch_file(source, want, progress).await,
            }
        };
        self.in_time(self.shared.store.once(&key, work.boxed())).await
    }

    async fn fetch_file(&self, source: Source<'_>, want: Want<'_>, progress: &Progress) -> Result<Fetched, Failure> {
        let shared = &self.shared;
        match source {
            Source::Http(http) => shared.http.fetch(&shared.store, &http.url, want, progress).await,
            Source::S3(s3) => self.s3.file(&shared.store, s3, want, progress).await,
            Source::Inline(base64) => inline::fetch(&shared.store, base64, want, progress).await,
            Source::Ipfs(ipfs) => shared.ipfs.file((&shared.store, &shared.http), ipfs, want, progress).boxed().await,
            Source::Oci(oci) => self.oci().file(oci, want, progress).boxed().await,
            Source::ConfigMap(_) => Err(in_clusters_only("configMap", FILE_OR_INLINE)),
        }
    }

    fn oci(&self) -> Oci<'_> {
        let shared = &self.shared;
        Oci { store: &shared.store, http: &shared.http, limits: &shared.config.limits }
    }

    /// The wanted bytes, if the store has them under the digest, and their name, where that is known without asking.
    async fn known(&self, source: Source<'_>, want: Want<'_>, named: bool) -> Result<Option<Fetched>, Failure> {
        let Some(digest) = want.expected.copied() else { return Ok(None) };
        let name = match source {
            // A server may have named the file: the same bytes from another URL are called something else.
            Source::Http(http) => match http::noted_name(&self.shared.store, &http.url, &digest) {
                Some(name) => name,
                None if named => return Ok(None),
                None => None,
            },
            Source::S3(s3) => s3.key.as_deref().and_then(path::file_name),
            Source::Ipfs(ipfs) => ipfs.path.as_deref().and_then(|path| path::file_name(path.trim_end_matches('/'))),
            // Of a module; the files of an input are named by their manifest, which is asked for.
            Source::Oci(_) => None,
            // At hand, and compared with its digest each time: what else has that digest is not what was given. What a ConfigMap holds is
            // known to who reads it, and here nobody does.
            Source::Inline(_) | Source::ConfigMap(_) => return Ok(None),
        };
        let store = self.shared.store.clone();
        // A look may mean to hash the file again.
        let found = tokio::task::spawn_blocking(move || store.get(&digest)).await.ok().flatten();
        match found {
            None => Ok(None),
            Some(blob) if blob.size_bytes() > want.max_bytes => Err(body::too_large(&digest.to_string(), want.max_bytes)),
            Some(blob) => Ok(Some(Fetched { blob, name })),
        }
    }

    async fn in_time<T>(&self, fetch: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let limit = self.shared.config.limits.total_timeout;
        tokio::time::timeout(limit, fetch).await.unwrap_or_else(|_| {
            Err(Failure::new(Reason::FetchTimeout, format!("not fetched within the {} s that a source has", limit.as_secs())))
        })
    }
}

/// What stands in for a ConfigMap where bytes are wanted.
pub(crate) const FILE_OR_INLINE: &str = "give the file itself, or its bytes as inline";

/// A source that a cluster's agent has replaced before a runner sees it.
pub(crate) fn in_clusters_only(field: &str, instead: &str) -> Failure {
    Failure::new(Reason::InvalidSpec, format!("{field}: ConfigMaps and Secrets exist in a cluster only; to run it here, {instead}"))
}

fn no_digest(expected: Option<&Digest>, what: &str) -> Result<(), Failure> {
    match expected {
        None => Ok(()),
        Some(_) => Err(Failure::new(Reason::InvalidSpec, format!("digest: {what} is not one file; leave the digest out"))),
    }
}

// === impl Progress ===

impl Progress {
    /// So many more bytes are coming.
    pub(crate) fn expect(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes were here already.
    fn is_known(&self, bytes: u64) {
        self.expect(bytes);
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

// === impl FetchLimits ===

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            module_bytes: 256 << 20,
            input_bytes: 64 << 30,
            input_entries: 100_000,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(20),
            min_bytes_per_second: 4 << 10,
            rate_window: Duration::from_secs(30),
            total_timeout: Duration::from_hours(1),
            redirects: 5,
        }
    }
}
