//! S3 credentials from the administrator's file: which namespaces may use which. Read again when the file changes.
//!
//! A namespace that the file does not name reads public objects only. Nothing comes from the agent's own environment.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use runner::fetch::s3::S3Access;
use serde::Deserialize;
use tracing::{info, warn};

/// One row of the file.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Grant {
    /// For people and messages.
    name: String,
    /// Namespaces whose jobs may use it.
    namespaces: Vec<String>,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    region: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
}

/// The file, as it was read last. Clones are the same.
#[derive(Clone)]
pub(crate) struct S3Credentials {
    path: Option<PathBuf>,
    read: Arc<Mutex<Read>>,
}

#[derive(Default)]
struct Read {
    /// When it had been written, and how long it was.
    version: Option<(SystemTime, u64)>,
    grants: Vec<Grant>,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to read the S3 credentials {path:?}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("unable to understand the S3 credentials {path:?}: {why}")]
    Understand { path: PathBuf, why: String },
    #[error("the S3 credentials {path:?} name namespace {namespace:?} twice, as {first:?} and as {second:?}")]
    Twice { path: PathBuf, namespace: String, first: String, second: String },
}

// === impl S3Credentials ===

impl S3Credentials {
    /// # Errors
    /// There is a file and it cannot be read or understood.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let credentials = Self { path: path.map(Path::to_owned), read: Arc::default() };
        credentials.read_if_changed()?;
        Ok(credentials)
    }

    /// What jobs of a namespace may use. Where the file was changed into something that cannot be understood, what it said before counts.
    pub(crate) fn of(&self, namespace: &str) -> S3Access {
        if let Err(error) = self.read_if_changed() {
            warn!(error = crate::client::chain(&error), "the S3 credentials that were read before are used");
        }
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.grants.iter().find(|grant| grant.namespaces.iter().any(|name| name == namespace)).map_or_else(S3Access::default, Grant::access)
    }

    fn read_if_changed(&self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let unread = |source| Error::Read { path: path.clone(), source };
        let metadata = std::fs::metadata(path).map_err(unread)?;
        let version = Some((metadata.modified().map_err(unread)?, metadata.len()));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.version == version {
            return Ok(());
        }
        // Before it is understood: a bad file is complained of once.
        read.version = version;
        let text = std::fs::read_to_string(path).map_err(unread)?;
        read.grants = grants(path, &text)?;
        info!(?path, rows = read.grants.len(), "read the S3 credentials");
        Ok(())
    }
}

fn grants(path: &Path, text: &str) -> Result<Vec<Grant>, Error> {
    let understood = serde_saphyr::from_str::<Vec<Grant>>(text);
    // The library quotes the text around an error, and this text holds secrets: only its place is told.
    let grants = understood.map_err(|error| Error::Understand { path: path.to_owned(), why: place(&error) })?;
    for (position, second) in grants.iter().enumerate() {
        for first in &grants[..position] {
            if let Some(namespace) = second.namespaces.iter().find(|name| first.namespaces.contains(name)) {
                let (namespace, first, second) = (namespace.clone(), first.name.clone(), second.name.clone());
                return Err(Error::Twice { path: path.to_owned(), namespace, first, second });
            }
        }
    }
    Ok(grants)
}

fn place(error: &serde_saphyr::Error) -> String {
    error.location().map_or_else(
        || "it is no list of {name, namespaces, accessKeyId, secretAccessKey, …}".to_owned(),
        |at| {
            format!("line {}, column {}: expected a list of {{name, namespaces, accessKeyId, secretAccessKey, …}}", at.line(), at.column())
        },
    )
}

// === impl Grant ===

impl Grant {
    fn access(&self) -> S3Access {
        let credentials =
            Credentials::new(&self.access_key_id, &self.secret_access_key, self.session_token.clone(), None, "administrator's file");
        S3Access {
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            ..S3Access::default()
        }
    }
}

#[cfg(test)]
mod tests;
