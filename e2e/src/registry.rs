//! An OCI registry (`distribution`): one folder, a loopback port that the kernel chose, for anybody or for bearers of tokens. Pushes
//! artifacts as `oras` and `wkg` do, by the distribution specification.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::components::Component;
use crate::process::Process;

const COMPONENT: Component = Component {
    name: "registry",
    module: "github.com/distribution/distribution/v3",
    go_mod: include_str!("../components/distribution/go.mod"),
};

/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a WebAssembly module.
pub const WASM: &str = "application/wasm";

/// What the name of a layer's file stands under.
const TITLE: &str = "org.opencontainers.image.title";

/// A running registry.
pub struct Registry {
    process: Process,
    address: SocketAddr,
    client: Client,
    // Dropped after the process that writes to it.
    folder: TempDir,
}

/// One layer of an artifact.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Such as `application/wasm`.
    pub media_type: String,
    /// The layer itself.
    pub bytes: Vec<u8>,
    /// Name of the file that it is.
    pub title: Option<String>,
}

impl Layer {
    /// A WebAssembly module, without a title.
    pub fn wasm(bytes: impl Into<Vec<u8>>) -> Self {
        Self { media_type: WASM.to_owned(), bytes: bytes.into(), title: None }
    }

    /// A file.
    pub fn file(title: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { media_type: "application/octet-stream".to_owned(), bytes: bytes.into(), title: Some(title.to_owned()) }
    }
}

impl Registry {
    /// Starts a registry that anybody may read and write.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&json!({}))
    }

    /// Starts a registry that sends whoever has no token to the token server at `realm`, and takes every token.
    pub fn start_with_tokens(realm: &str) -> anyhow::Result<Self> {
        Self::start_with(&json!({ "silly": { "realm": realm, "service": "e2e" } }))
    }

    fn start_with(auth: &Value) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to create a folder")?;
        let config = json!({
            "version": "0.1",
            "log": { "level": "info", "formatter": "json", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("storage") } },
            "http": { "addr": "127.0.0.1:0" },
            "auth": auth,
        });
        let file = folder.path().join("config.yml");
        // JSON is YAML too.
        fs::write(&file, config.to_string()).with_context(|| format!("failed to write {}", file.display()))?;
        let mut command = Command::new(COMPONENT.program()?);
        command.arg("serve").arg(&file).env_clear().env("HOME", folder.path()).env("OTEL_TRACES_EXPORTER", "none");
        let log = folder.path().join("log");
        let mut process = Process::start("registry", command, &log)?;
        let address = process.wait_for(|| listening(&fs::read_to_string(&log).ok()?))?;
        // Fails only when something else was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().context("failed to make a client")?;
        Ok(Self { process, address, client, folder })
    }

    /// `127.0.0.1:PORT`, the first part of an image's name.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The name of an image here: `reference` is `:TAG` or `@DIGEST`.
    pub fn image(&self, repository: &str, reference: &str) -> String {
        format!("{}/{repository}{reference}", self.address)
    }

    /// Process id of the server.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Pushes an artifact of these layers, under a tag, and gives the digest of its manifest.
    pub async fn push(&self, repository: &str, tag: &str, layers: &[Layer]) -> anyhow::Result<String> {
        let config = self.push_blob(repository, b"{}").await?;
        let mut described = Vec::new();
        for layer in layers {
            let digest = self.push_blob(repository, &layer.bytes).await?;
            let mut descriptor = json!({ "mediaType": layer.media_type, "digest": digest, "size": layer.bytes.len() });
            if let Some(title) = &layer.title {
                descriptor["annotations"] = json!({ TITLE: title });
            }
            described.push(descriptor);
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": config, "size": 2 },
            "layers": described,
        });
        self.push_manifest(repository, tag, MANIFEST, &manifest).await
    }

    /// Pushes an index of manifests that are there already, each with its architecture, and gives its digest.
    pub async fn push_index(&self, repository: &str, tag: &str, manifests: &[(&str, &str)]) -> anyhow::Result<String> {
        let mut described = Vec::new();
        for (digest, architecture) in manifests {
            let size = self.get(&format!("{repository}/manifests/{digest}"), MANIFEST).await?.len();
            let platform = json!({ "os": "wasip1", "architecture": architecture });
            described.push(json!({ "mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform }));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": described });
        self.push_manifest(repository, tag, INDEX, &index).await
    }

    /// Pushes any document as a manifest, if the registry takes it.
    pub async fn push_manifest(&self, repository: &str, tag: &str, media_type: &str, document: &Value) -> anyhow::Result<String> {
        let bytes = document.to_string();
        let url = self.url(&format!("{repository}/manifests/{tag}"));
        let request = self.client.put(url).header(CONTENT_TYPE, media_type).header(AUTHORIZATION, "Bearer e2e").body(bytes.clone());
        let response = request.send().await.context("failed to push a manifest")?;
        if response.status() != StatusCode::CREATED {
            bail!("the registry answered {}: {}", response.status(), response.text().await.unwrap_or_default());
        }
        Ok(digest(bytes.as_bytes()))
    }

    /// Pushes bytes and gives their digest.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let start = self.client.post(self.url(&format!("{repository}/blobs/uploads/"))).header(AUTHORIZATION, "Bearer e2e");
        let started = start.send().await.context("failed to begin an upload")?;
        let location = started.headers().get(LOCATION).and_then(|location| location.to_str().ok()).context("no upload was begun")?;
        let mut url: Url = started.url().join(location).context("the upload is nowhere")?;
        let digest = digest(bytes);
        url.query_pairs_mut().append_pair("digest", &digest);
        let put = self.client.put(url).header(AUTHORIZATION, "Bearer e2e").body(bytes.to_vec());
        let response = put.send().await.context("failed to upload")?;
        if response.status() != StatusCode::CREATED {
            bail!("the registry answered {}: {}", response.status(), response.text().await.unwrap_or_default());
        }
        Ok(digest)
    }

    /// Replaces the bytes of a blob behind the registry's back, as a broken disk or an intruder would.
    pub fn tamper(&self, digest: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let hex = digest.strip_prefix("sha256:").context("a sha256 digest")?;
        let blobs: PathBuf = self.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        let file = blobs.join(&hex[..2]).join(hex).join("data");
        fs::write(&file, bytes).with_context(|| format!("failed to write {}", file.display()))
    }

    async fn get(&self, path: &str, accept: &str) -> anyhow::Result<Vec<u8>> {
        let request = self.client.get(self.url(path)).header("accept", accept).header(AUTHORIZATION, "Bearer e2e");
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        let response = response.with_context(|| format!("failed to get {path}"))?;
        Ok(response.bytes().await.with_context(|| format!("failed to read {path}"))?.to_vec())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v2/{path}", self.address)
    }
}

/// The address in the line that the registry writes once its listener is open.
fn listening(log: &str) -> Option<SocketAddr> {
    log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["msg"].as_str()?.strip_prefix("listening on ")?.split(',').next()?.trim().parse().ok()
    })
}

fn digest(bytes: &[u8]) -> String {
    crds::digest::Digest::of(bytes).to_string()
}
