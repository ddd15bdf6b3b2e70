//! OCI registries → verified bytes: a module that is the only WebAssembly layer of an artifact or image, an input whose files are layers.
//!
//! Follows the OCI distribution and image specifications. What a registry says is not believed: a manifest is hashed where a digest names
//! it, a layer always. Unpacks no layer.

mod challenge;
mod manifest;
mod registry;

use crds::digest::Digest;
use crds::reason::Reason;
use crds::source::OciSource;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use oci_spec::image::ImageManifest;

use self::manifest::{Document, FileLayer, Layer, Unfit};
use self::registry::Registry;
use super::body::{mismatch, too_large};
use super::http::Http;
use super::path::file_name;
use super::retry::retrying;
use super::tree::{Tree, TreeFile, check_paths};
use super::{FetchLimits, Fetched, Progress, Want, no_digest};
use crate::failure::Failure;
use crate::store::{Blob, Store};

/// Largest manifest, in bytes: what registries take.
const MANIFEST_BYTES: u64 = 4 << 20;
/// Layers that are read at the same time.
const AT_ONCE: usize = 4;

/// What a fetch from a registry uses.
#[derive(Clone, Copy)]
pub(crate) struct Oci<'a> {
    pub(crate) store: &'a Store,
    pub(crate) http: &'a Http,
    pub(crate) limits: &'a FetchLimits,
}

// === impl Oci ===

impl Oci<'_> {
    /// The one WebAssembly layer.
    pub(crate) async fn file(&self, source: &OciSource, want: Want<'_>, progress: &Progress) -> Result<Fetched, Failure> {
        let registry = Registry::new(self.http, &source.image)?;
        let unfit = |unfit: Unfit| Failure::new(Reason::ModuleInvalid, format!("{}: {unfit}", registry.image()));
        let manifest = self.manifest(&registry, unfit).await?;
        let layer = manifest::module(&manifest).map_err(unfit)?;
        let name = layer.title.as_deref().and_then(file_name);
        Ok(Fetched { blob: self.layer(&registry, &layer, want, progress).await?, name })
    }

    /// Every layer as a file. A single one without a title is called `fallback_name`.
    pub(crate) async fn tree(
        &self,
        source: &OciSource,
        (fallback_name, expected): (&str, Option<&Digest>),
        progress: &Progress,
    ) -> Result<Tree, Failure> {
        let registry = &Registry::new(self.http, &source.image)?;
        let unfit = |unfit: Unfit| Failure::new(Reason::InvalidSpec, format!("{}: {unfit}", registry.image()));
        let manifest = self.manifest(registry, unfit).await?;
        let files = manifest::files(&manifest, fallback_name).map_err(unfit)?;
        if files.len() > 1 {
            no_digest(expected, "an artifact of several files")?;
        }
        let badly_named = |error| Failure::new(Reason::InvalidSpec, format!("{}: {error}; push it with other titles", registry.image()));
        check_paths(Vec::new(), files.iter().map(|file| file.path.as_str())).map_err(badly_named)?;
        self.check_size(registry, &files)?;
        let want = Want { expected, max_bytes: self.limits.input_bytes };
        let fetches: Vec<_> = files
            .into_iter()
            .map(|file| async move {
                // Two inputs, or two jobs, may want the same layer.
                let key = file.layer.digest.to_string();
                let blob = self.store.once(&key, self.layer(registry, &file.layer, want, progress).boxed()).await?;
                Ok::<_, Failure>(TreeFile { path: file.path, blob })
            })
            .map(futures_util::FutureExt::boxed)
            .collect();
        let files = stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await?;
        Tree::new(Vec::new(), files).map_err(badly_named)
    }

    fn check_size(&self, registry: &Registry<'_>, files: &[FileLayer]) -> Result<(), Failure> {
        if files.len() as u64 > self.limits.input_entries {
            let message = format!("{}: more than the {} files that are allowed", registry.image(), self.limits.input_entries);
            return Err(Failure::new(Reason::FetchTooLarge, message));
        }
        let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.layer.size_bytes));
        if bytes > self.limits.input_bytes {
            return Err(too_large(registry.image(), self.limits.input_bytes));
        }
        Ok(())
    }

    /// The manifest that the image's name leads to, through an index if there is one.
    async fn manifest(&self, registry: &Registry<'_>, unfit: impl Fn(Unfit) -> Failure) -> Result<ImageManifest, Failure> {
        let mut digest = registry.digest()?;
        let mut name = registry.wanted().to_owned();
        for _ in 0..2 {
            let bytes = self.document(registry, &name, digest.as_ref()).await?;
            match manifest::parse(&bytes).map_err(&unfit)? {
                Document::Manifest(manifest) => return Ok(*manifest),
                Document::Index(index) => {
                    let chosen = manifest::choose(&index).map_err(&unfit)?;
                    name = chosen.to_string();
                    digest = Some(chosen);
                }
            }
        }
        Err(unfit(Unfit::NestedIndex))
    }

    /// The bytes of a manifest or index.
    async fn document(&self, registry: &Registry<'_>, name: &str, digest: Option<&Digest>) -> Result<Vec<u8>, Failure> {
        let what = &format!("{}: its manifest {name}", registry.image());
        let blob = if let Some(blob) = self.kept(digest).await {
            blob
        } else {
            let path = &format!("manifests/{name}");
            let want = Want { expected: digest, max_bytes: MANIFEST_BYTES };
            let attempt = || async move {
                let response = registry.get(path, Some(manifest::ACCEPT)).await?;
                self.http.keep(response, what, self.store, want, &Progress::default()).await
            };
            retrying(attempt).await.map_err(|failure| other_bytes(what, failure))?
        };
        let read = tokio::task::spawn_blocking(move || std::fs::read(blob.path())).await;
        match read {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(Failure::new(Reason::FetchFailed, format!("{what}: unable to read it: {error}"))),
            Err(error) => Err(Failure::new(Reason::FetchFailed, format!("{what}: unable to read it: {error}"))),
        }
    }

    async fn layer(&self, registry: &Registry<'_>, layer: &Layer, want: Want<'_>, progress: &Progress) -> Result<Blob, Failure> {
        let what = &format!("{}: its layer {}", registry.image(), layer.digest);
        if let Some(expected) = want.expected.filter(|expected| **expected != layer.digest) {
            return Err(mismatch(registry.image(), expected, &layer.digest));
        }
        if layer.size_bytes > want.max_bytes {
            return Err(too_large(what, want.max_bytes));
        }
        if let Some(blob) = self.kept(Some(&layer.digest)).await {
            progress.is_known(blob.size_bytes());
            return Ok(blob);
        }
        let path = &format!("blobs/{}", layer.digest);
        let want = Want { expected: Some(&layer.digest), max_bytes: layer.size_bytes };
        retrying(|| async move {
            let response = registry.get(path, None).await?;
            self.http.keep(response, what, self.store, want, progress).await
        })
        .await
        .map_err(|failure| other_bytes(what, failure))
    }

    /// The bytes with this digest, if they are here.
    async fn kept(&self, digest: Option<&Digest>) -> Option<Blob> {
        let (store, digest) = (self.store.clone(), *digest?);
        // A look may mean to hash the file again.
        tokio::task::spawn_blocking(move || store.get(&digest)).await.ok().flatten()
    }
}

/// A mismatch, told as the registry's fault: nobody has given a digest that he could change.
fn other_bytes(what: &str, failure: Failure) -> Failure {
    match failure.reason {
        Reason::DigestMismatch => Failure::new(Reason::DigestMismatch, format!("{what}: the registry gave other bytes than those named")),
        _ => failure,
    }
}
