//! What a manifest or an index says: which image is for WebAssembly, which layer is the module, which layers are files.
//!
//! Asks nobody; the manifest's own digest has been checked where there is one.

use crds::digest::Digest;
use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The manifests that are understood; Docker's older names mean the same.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Names the file that a layer is.
const TITLE: &str = "org.opencontainers.image.title";
/// Stands where an artifact has nothing.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What a registry gives under the name of an image.
#[derive(Debug)]
pub(super) enum Document {
    Manifest(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// One layer, as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) title: Option<String>,
}

/// A layer that is a file of an input, under a path that nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileLayer {
    pub(super) path: String,
    pub(super) layer: Layer,
}

/// Why an image cannot be what the spec wants of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("what the registry has there is no image manifest: {0}")]
    NoManifest(String),
    #[error("it is an index of an index; name the image in it by its digest")]
    NestedIndex,
    #[error("it is an index of {images} images, {wasm} of them for the architecture wasm; name one by its digest")]
    Ambiguous { images: usize, wasm: usize },
    #[error(
        "none of its {0} layers is a WebAssembly module (application/wasm); push one with `wkg oci push` or `oras push IMAGE \
         prog.wasm:application/wasm`"
    )]
    NoModule(usize),
    #[error("{0} of its layers are WebAssembly modules; a module's image has exactly one")]
    SeveralModules(usize),
    #[error("it has no files")]
    NoFiles,
    #[error("its layer {0} has no title ({TITLE}), which names its file; push files with `oras push`")]
    Untitled(String),
    #[error("it names {0}; only sha256 digests are checked here")]
    OtherDigest(String),
}

/// A manifest or an index. One that could be read as both is neither: whoever has signed the one has not signed the other.
pub(super) fn parse(bytes: &[u8]) -> Result<Document, Unfit> {
    #[derive(Deserialize)]
    struct Outline {
        layers: Option<IgnoredAny>,
        manifests: Option<IgnoredAny>,
    }
    let unreadable = |error: serde_json::Error| Unfit::NoManifest(error.to_string());
    let outline: Outline = serde_json::from_slice(bytes).map_err(unreadable)?;
    match (outline.layers, outline.manifests) {
        (Some(_), None) => Ok(Document::Manifest(Box::new(serde_json::from_slice(bytes).map_err(unreadable)?))),
        (None, Some(_)) => Ok(Document::Index(Box::new(serde_json::from_slice(bytes).map_err(unreadable)?))),
        (Some(_), Some(_)) => Err(Unfit::NoManifest("it has both layers and manifests".to_owned())),
        (None, None) => Err(Unfit::NoManifest("it has neither layers nor manifests".to_owned())),
    }
}

/// The image in an index that is for WebAssembly, or the only one.
pub(super) fn choose(index: &ImageIndex) -> Result<Digest, Unfit> {
    let architecture = |image: &Descriptor| image.platform().as_ref().map(|platform| platform.architecture().clone());
    // Builders put attestations beside the images, for the architecture `unknown`.
    let is_image = |image: &&Descriptor| !matches!(architecture(image), Some(Arch::Other(other)) if other == "unknown");
    let images: Vec<_> = index.manifests().iter().filter(is_image).collect();
    let wasm: Vec<_> = images.iter().copied().filter(|image| architecture(image) == Some(Arch::Wasm)).collect();
    match (wasm.as_slice(), images.as_slice()) {
        ([only], _) | ([], [only]) => digest_of(only),
        _ => Err(Unfit::Ambiguous { images: images.len(), wasm: wasm.len() }),
    }
}

/// The one layer that is a WebAssembly module.
pub(super) fn module(manifest: &ImageManifest) -> Result<Layer, Unfit> {
    let modules: Vec<_> = manifest.layers().iter().filter(|layer| is_wasm(layer.media_type().as_ref())).collect();
    match modules.as_slice() {
        [only] => layer(only),
        [] => Err(Unfit::NoModule(manifest.layers().len())),
        several => Err(Unfit::SeveralModules(several.len())),
    }
}

/// `application/wasm`, and what `wasm-to-oci`, `wkg` and others have written before it was agreed on.
fn is_wasm(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/wasm" || (essence.starts_with("application/") && essence.ends_with("+wasm"))
}

/// Every layer as a file.
pub(super) fn files(manifest: &ImageManifest, fallback_name: &str) -> Result<Vec<FileLayer>, Unfit> {
    let layers: Vec<_> = manifest.layers().iter().filter(|layer| layer.media_type().as_ref() != EMPTY).collect();
    if layers.is_empty() {
        return Err(Unfit::NoFiles);
    }
    let is_single = layers.len() == 1;
    let mut files = Vec::with_capacity(layers.len());
    for descriptor in layers {
        let layer = layer(descriptor)?;
        let path = match &layer.title {
            Some(title) => title.clone(),
            None if is_single => fallback_name.to_owned(),
            None => return Err(Unfit::Untitled(layer.digest.to_string())),
        };
        files.push(FileLayer { path, layer });
    }
    Ok(files)
}

fn layer(descriptor: &Descriptor) -> Result<Layer, Unfit> {
    let title = descriptor.annotations().as_ref().and_then(|annotations| annotations.get(TITLE)).cloned();
    Ok(Layer { digest: digest_of(descriptor)?, size_bytes: descriptor.size(), title })
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, Unfit> {
    let text = descriptor.digest().to_string();
    text.parse().map_err(|_| Unfit::OtherDigest(text))
}

#[cfg(test)]
mod tests;
