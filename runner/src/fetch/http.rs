//! `http` and `https` URLs → verified bytes: one GET per hop, each hop checked as if it were the first.
//!
//! No proxy from the environment, no redirect that is not looked at, no decompression: bytes are hashed as they were sent.

mod hop;
mod name;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crds::digest::Digest;
use crds::reason::Reason;
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_DISPOSITION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use url::Url;

use self::hop::first_hop;
pub(super) use self::hop::{next_hop, shown};
use super::address::{AddressPolicy, Refused, ResolveError};
use super::body::{Intake, Pace, too_large};
use super::path::file_name;
use super::retry::{Setback, retrying};
use super::{FetchLimits, Fetched, Progress, Want};
use crate::failure::{Failure, chain};
use crate::store::{Blob, Store};

/// A client that is built when the first URL is fetched: reading the machine's certificates is not free.
#[derive(Debug)]
pub(crate) struct Http {
    limits: FetchLimits,
    addresses: AddressPolicy,
    client: OnceLock<reqwest::Client>,
}

// === impl Http ===

impl Http {
    pub(crate) fn new(limits: FetchLimits, addresses: AddressPolicy) -> Self {
        Self { limits, addresses, client: OnceLock::new() }
    }

    /// The bytes behind `url`, and the name that the server or the URL gives them.
    pub(crate) async fn fetch(&self, store: &Store, url: &str, want: Want<'_>, progress: &Progress) -> Result<Fetched, Failure> {
        let url = first_hop(url)?;
        retrying(|| self.attempt(store, &url, want, progress)).await
    }

    async fn attempt(&self, store: &Store, url: &Url, want: Want<'_>, progress: &Progress) -> Result<Fetched, Setback> {
        let response = accept(self.follow(url.clone(), |_| HeaderMap::new()).await?)?;
        let disposition = response.headers().get(CONTENT_DISPOSITION).map(|value| value.as_bytes().to_vec());
        let name = disposition.and_then(|value| name::of_disposition(&value)).or_else(|| name::of_url(url));
        let blob = self.keep(response, &shown(url), store, want, progress).await?;
        // Without the note the next fetch asks the server again, and that is all.
        let _ = store.set_note(&name_key(url.as_str(), &blob.digest()), name.as_deref().unwrap_or_default().as_bytes());
        Ok(Fetched { blob, name })
    }

    /// What an answer carries, as a blob. `what` names it for messages.
    pub(super) async fn keep(
        &self,
        response: Response,
        what: &str,
        store: &Store,
        want: Want<'_>,
        progress: &Progress,
    ) -> Result<Blob, Setback> {
        if let Some(length) = response.content_length() {
            if length > want.max_bytes {
                return Err(too_large(what, want.max_bytes).into());
            }
            progress.expect(length);
        }
        let mut intake = Intake::new(store, want.max_bytes, progress);
        let mut pace = Pace::new(&self.limits);
        let mut body = response.bytes_stream();
        while let Some(chunk) = pace.wait(body.next(), what).await? {
            let bytes = chunk.map_err(|e| broken(what, &e))?;
            pace.count(bytes.len(), what)?;
            intake.push(bytes, what).await?;
        }
        Ok(intake.finish(want.expected, what).await?)
    }

    /// What an answer carries, in memory.
    pub(super) async fn read(&self, response: Response, what: &str, max_bytes: usize) -> Result<Vec<u8>, Setback> {
        let mut pace = Pace::new(&self.limits);
        let mut body = response.bytes_stream();
        let mut read = Vec::new();
        while let Some(chunk) = pace.wait(body.next(), what).await? {
            let bytes = chunk.map_err(|e| broken(what, &e))?;
            pace.count(bytes.len(), what)?;
            if read.len() + bytes.len() > max_bytes {
                return Err(too_large(what, max_bytes as u64).into());
            }
            read.extend_from_slice(&bytes);
        }
        Ok(read)
    }

    /// The first answer that is no redirect, whatever it says. `headers` decides for each URL what is sent there.
    pub(super) async fn follow(&self, mut url: Url, headers: impl Fn(&Url) -> HeaderMap) -> Result<Response, Setback> {
        for _ in 0..=self.limits.redirects {
            let response = self.ask_with(&url, headers(&url)).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).map(reqwest::header::HeaderValue::as_bytes);
            url = next_hop(&url, location)?;
        }
        let message = format!("{}: more than {} redirects", shown(&url), self.limits.redirects);
        Err(Setback::last(Reason::FetchFailed, message))
    }

    /// One request to one checked address.
    pub(super) async fn ask(&self, url: &Url, accept: Option<&'static str>) -> Result<Response, Setback> {
        self.ask_with(url, accept.into_iter().map(|accept| (ACCEPT, HeaderValue::from_static(accept))).collect()).await
    }

    async fn ask_with(&self, url: &Url, headers: HeaderMap) -> Result<Response, Setback> {
        let what = shown(url);
        self.addresses.check_url(url).map_err(|refused| denied(&what, &refused))?;
        let request = self.client()?.get(url.clone()).headers(headers).header(ACCEPT_ENCODING, "identity");
        let response = match tokio::time::timeout(self.limits.idle_timeout, request.send()).await {
            Ok(answer) => answer.map_err(|e| broken(&what, &e))?,
            Err(_) => return Err(Setback::passing(Reason::FetchTimeout, format!("{what}: no answer in time"))),
        };
        // The resolver has let only checked addresses through; this is the second look.
        if let Some(peer) = response.remote_addr() {
            self.addresses.check(peer.ip()).map_err(|refused| denied(&what, &refused))?;
        }
        Ok(response)
    }

    fn client(&self) -> Result<&reqwest::Client, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let built = client(&self.limits, &self.addresses)?;
        Ok(self.client.get_or_init(|| built))
    }
}

/// A client for servers that were configured: it connects wherever they are, and follows no redirect.
pub(super) fn trusted_client(limits: &FetchLimits) -> Result<reqwest::Client, Failure> {
    client(limits, &AddressPolicy { allow_private: true, ..AddressPolicy::default() })
}

fn client(limits: &FetchLimits, addresses: &AddressPolicy) -> Result<reqwest::Client, Failure> {
    build_client(limits, addresses).map_err(|e| Failure::new(Reason::FetchFailed, format!("no HTTP client: {}", chain(&*e))))
}

/// What the bytes with this digest were called when they came from `url`: `None` if they never did, `Some(None)` if by no safe name.
#[expect(clippy::option_option, reason = "unknown, known to have no name, known to have this one")]
pub(super) fn noted_name(store: &Store, url: &str, digest: &Digest) -> Option<Option<String>> {
    let url = first_hop(url).ok()?;
    let noted = store.note(&name_key(url.as_str(), digest))?;
    Some(String::from_utf8(noted).ok().and_then(|name| file_name(&name)))
}

fn name_key(url: &str, digest: &Digest) -> String {
    format!("name {digest} {url}")
}

fn build_client(limits: &FetchLimits, addresses: &AddressPolicy) -> Result<reqwest::Client, Box<dyn std::error::Error + Send + Sync>> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("wasmjob/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect_timeout)
        .dns_resolver(Arc::new(CheckedNames(addresses.clone())))
        .build()?)
}

/// TLS by rustls and ring, trusting what this machine trusts. Where it has no certificates, `https` fails and `http` still works.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    Ok(match rustls_platform_verifier::Verifier::new(provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(),
        Err(_) => builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth(),
    })
}

/// Looks names up and lets only those through whose every address may be reached.
struct CheckedNames(AddressPolicy);

impl reqwest::dns::Resolve for CheckedNames {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let addresses = policy.resolve(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

/// The answer if it is the whole file; else what it means.
pub(super) fn accept(response: Response) -> Result<Response, Setback> {
    let status = response.status();
    let message = |advice: &str| format!("{}: the server answered {status}{advice}", shown(response.url()));
    match status {
        StatusCode::OK => Ok(response),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(Setback::last(Reason::FetchNotFound, message("; check the URL"))),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Setback::last(
            Reason::FetchDenied,
            message("; it must be readable without credentials, or by a signed URL that has not expired"),
        )),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => Err(wait(&response, message(""))),
        passing if passing.is_server_error() => Err(wait(&response, message(""))),
        _ => Err(Setback::last(Reason::FetchFailed, message(" instead of 200"))),
    }
}

/// A setback that lasts as long as the server says, where it says so in seconds.
fn wait(response: &Response, message: String) -> Setback {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Setback::Passing(Failure::new(Reason::FetchFailed, message), seconds.map(Duration::from_secs))
}

fn denied(what: &str, refused: &Refused) -> Setback {
    Setback::last(Reason::FetchDenied, format!("{what}: {refused}"))
}

/// What an error of the client means. Its own text names the URL, with what may be secret in it.
fn broken(what: &str, error: &reqwest::Error) -> Setback {
    if let Some(refused) = refused_by(error) {
        return denied(what, refused);
    }
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
    match error.is_timeout() {
        true => Setback::passing(Reason::FetchTimeout, format!("{what}: {cause}")),
        false if error.is_connect() => Setback::passing(Reason::FetchFailed, format!("{what}: cannot connect: {cause}")),
        false if error.is_body() || error.is_decode() => {
            Setback::passing(Reason::FetchFailed, format!("{what}: the transfer broke off: {cause}"))
        }
        false => Setback::passing(Reason::FetchFailed, format!("{what}: {cause}")),
    }
}

fn refused_by<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ResolveError::Refused(refused)) = error.downcast_ref() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
