//! Kubeconfig files: who one is, and the API server's address and authority, in one file that needs no other. Written as JSON,
//! which is YAML, and readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::certificates::Pair;

/// What one proves oneself with.
pub(super) enum Credentials<'a> {
    Certificate(&'a Pair),
    Token(&'a str),
    /// Read again and again, so that it can be renewed.
    TokenFile(&'a Path),
}

/// The file's content; `namespace` is where its user works unless told otherwise.
pub(super) fn content(server: &str, authority: &str, namespace: &str, credentials: Credentials<'_>) -> String {
    let user = match credentials {
        Credentials::Certificate(pair) => {
            json!({ "client-certificate-data": BASE64.encode(&pair.certificate), "client-key-data": BASE64.encode(&pair.key) })
        }
        Credentials::Token(token) => json!({ "token": token }),
        Credentials::TokenFile(file) => json!({ "tokenFile": file }),
    };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "wasmjob", "cluster": { "server": server, "certificate-authority-data": BASE64.encode(authority) } }],
        "users": [{ "name": "wasmjob", "user": user }],
        "contexts": [{ "name": "wasmjob", "context": { "cluster": "wasmjob", "user": "wasmjob", "namespace": namespace } }],
        "current-context": "wasmjob",
    });
    format!("{config:#}\n")
}

/// Writes a secret: nobody else may read it, and a reader sees the old content or the new one.
pub(super) fn write_secret(path: &Path, content: &str) -> anyhow::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let open = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
    let written = open.and_then(|mut file| file.write_all(content.as_bytes())).and_then(|()| fs::rename(&unfinished, path));
    written.with_context(|| format!("failed to write {}", path.display()))
}
