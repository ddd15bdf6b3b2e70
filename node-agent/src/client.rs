//! Calls to the API server: each with a time of its own, none repeated behind our back.
//!
//! kube's client would repeat 429, 503 and 504 for minutes by itself, and waits for ever for an answer: that hides a partition, and a
//! node that cannot tell that it is cut off runs work that others have been given.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A call that may be slow: everything but renewals.
pub(crate) const CALL: Duration = Duration::from_secs(5);

/// Clients over connections of their own, so that nothing waits behind something else.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Jobs and ConfigMaps.
    pub(crate) reads: Client,
    /// The node's object.
    pub(crate) node: Client,
    /// Watches, which never end by themselves.
    pub(crate) watch: Client,
    pub(crate) lease: Client,
}

/// A call without the result that was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the API server refused or failed")]
    Answer(#[source] kube::Error),
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("unable to read the kubeconfig")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    #[error("unable to find the API server as a pod; outside of a cluster, give --kubeconfig")]
    InCluster(#[source] kube::config::InClusterError),
    #[error("unable to make a client")]
    Client(#[source] kube::Error),
}

// === impl Clients ===

impl Clients {
    /// Connects to nothing yet.
    pub(crate) async fn new(kubeconfig: Option<&Path>) -> Result<Self, Error> {
        let config = config(kubeconfig).await?;
        let client = || Client::try_from(config.clone()).map_err(Error::Client);
        Ok(Self { reads: client()?, node: client()?, watch: client()?, lease: client()? })
    }
}

async fn config(kubeconfig: Option<&Path>) -> Result<Config, Error> {
    let mut config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path).map_err(Error::Kubeconfig)?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(Error::Kubeconfig)?
        }
        None => Config::incluster().map_err(Error::InCluster)?,
    };
    config.default_retry = false;
    Ok(config)
}

/// The call's result, or the lack of one in time.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(CallError::Answer),
        Err(_) => Err(CallError::NoAnswer(limit)),
    }
}

// === impl CallError ===

impl CallError {
    /// The server's code; `None`: it was not reached, or did not speak.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Answer(kube::Error::Api(status)) => Some(status.code),
            Self::Answer(_) | Self::NoAnswer(_) => None,
        }
    }
}

/// An error and what is behind it, in one line for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Some libraries repeat their cause.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}
