//! Where blocks are asked for: trustless gateways and kubo's RPC, in turn, and what became of it with each of them.
//!
//! Follows the trustless gateway specification and kubo's RPC reference. What they send is read and checked in `stream`.

use std::time::Duration;

use bytes::Bytes;
use crds::reason::Reason;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::super::FetchLimits;
use super::super::http::{Http, next_hop, shown};
use super::cid::Cid;
use super::stream::{Body, CarStream, into_failure};
use crate::failure::{Failure, chain};

const CAR: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=n";
const RAW: &str = "application/vnd.ipld.raw";
/// How often each source is asked for the same thing.
const ROUNDS: u32 = 2;
/// Rest before the second round: what was restarted or overloaded may be back.
const PAUSE: Duration = Duration::from_millis(500);

/// What kind of server a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gateway,
    Rpc,
}

/// How servers are talked to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<'a> {
    /// For the servers that were configured, wherever they are.
    pub(super) trusted: &'a reqwest::Client,
    /// For where they redirect to: checked as any URL that a stranger wrote.
    pub(super) checked: &'a Http,
    pub(super) limits: &'a FetchLimits,
}

/// All sources of one fetch, and what they have shown so far.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    network: Network<'a>,
    list: Vec<Source>,
    /// The CID that the fetch is about, for messages.
    subject: Cid,
}

#[derive(Debug)]
struct Source {
    kind: Kind,
    url: Url,
    failures: u32,
    /// Streams asked for since the last `allow_streams`.
    streams: u32,
    /// The failure that says most.
    worst: Option<Failure>,
}

// === impl Sources ===

impl<'a> Sources<'a> {
    pub(super) fn new(network: Network<'a>, servers: impl Iterator<Item = (Kind, Url)>, subject: Cid) -> Self {
        let list = servers.map(|(kind, url)| Source { kind, url, failures: 0, streams: 0, worst: None }).collect();
        Self { network, list, subject }
    }

    /// Forgets how many streams were asked for: another DAG is wanted.
    pub(super) fn allow_streams(&mut self) {
        for source in &mut self.list {
            source.streams = 0;
        }
    }

    /// A stream of everything below `root` from the next source that gives one; `None` when all have had their turns.
    pub(super) async fn stream(&mut self, root: &Cid) -> Option<CarStream> {
        loop {
            let next = (0..self.list.len()).filter(|index| self.list[*index].streams < ROUNDS);
            let index = next.min_by_key(|index| (self.list[*index].streams, self.list[*index].failures, *index))?;
            if self.list[index].streams > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            self.list[index].streams += 1;
            match self.ask(index, root, CAR).await {
                Ok(body) => return Some(CarStream::new(index, body)),
                Err(failure) => self.note_failure(index, failure),
            }
        }
    }

    /// One block, checked, from the first source that has it.
    ///
    /// # Errors
    ///
    /// What says most about why none of them gave it.
    pub(super) async fn block(&mut self, cid: &Cid) -> Result<Bytes, Failure> {
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let mut order: Vec<usize> = (0..self.list.len()).collect();
            order.sort_by_key(|index| self.list[*index].failures);
            let mut all_without = true;
            for index in order {
                match self.block_from(index, cid).await {
                    Ok(data) => return Ok(data),
                    Err(failure) => {
                        all_without &= failure.reason == Reason::FetchNotFound;
                        self.note_failure(index, failure);
                    }
                }
            }
            if all_without {
                break;
            }
        }
        Err(self.failure(cid))
    }

    async fn block_from(&self, index: usize, cid: &Cid) -> Result<Bytes, Failure> {
        self.ask(index, cid, RAW).await?.block(cid).await
    }

    async fn ask(&self, index: usize, cid: &Cid, accept: &'static str) -> Result<Body, Failure> {
        let source = &self.list[index];
        let name = source.name();
        let (method, mut url) = source.request(cid, accept == CAR);
        let mut response = self.ask_source(method.clone(), &url, accept, &name).await?;
        let mut redirects = 0;
        while response.status().is_redirection() && method == Method::GET {
            redirects += 1;
            if redirects > self.network.limits.redirects {
                return Err(Failure::new(Reason::FetchFailed, format!("{name}: redirected too often")));
            }
            url = next_hop(&url, response.headers().get(LOCATION).map(HeaderValue::as_bytes))?;
            response = if source.is_below(&url) {
                self.ask_source(Method::GET, &url, accept, &name).await?
            } else {
                self.network.checked.ask(&url, Some(accept)).await.map_err(into_failure)?
            };
        }
        let mut body = Body::new(response, self.network.limits, name);
        let status = body.response.status();
        if status != StatusCode::OK {
            return Err(body.refusal(status).await);
        }
        let content_type = body.response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if content_type.starts_with(b"text/html") {
            return Err(body.failure(Reason::CidMismatch, "answered with a web page, not with blocks; it may be no trustless gateway"));
        }
        Ok(body)
    }

    async fn ask_source(&self, method: Method, url: &Url, accept: &str, name: &str) -> Result<Response, Failure> {
        let request = self.network.trusted.request(method, url.clone()).header(ACCEPT, accept).header(ACCEPT_ENCODING, "identity");
        let limit = self.network.limits.idle_timeout;
        match tokio::time::timeout(limit, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(name, &error)),
            Err(_) => Err(Failure::new(Reason::FetchTimeout, format!("{name}: no answer within {} s", limit.as_secs_f32()))),
        }
    }

    /// Remembers that a source failed: it is asked last from now on.
    pub(super) fn note_failure(&mut self, index: usize, failure: Failure) {
        let source = &mut self.list[index];
        source.failures += 1;
        tracing::debug!(source = %source.url, reason = ?failure.reason, message = failure.message, "ipfs source failed");
        if source.worst.as_ref().is_none_or(|worst| weight(worst.reason) <= weight(failure.reason)) {
            source.worst = Some(failure);
        }
    }

    /// Why `cid` could not be had: the reason that says most, and what each source did.
    fn failure(&self, cid: &Cid) -> Failure {
        let reasons = self.list.iter().filter_map(|source| source.worst.as_ref()).map(|failure| failure.reason);
        let reason = reasons.max_by_key(|reason| weight(*reason)).unwrap_or(Reason::FetchFailed);
        let said: Vec<String> = self.list.iter().map(Source::said).collect();
        let what = if *cid == self.subject { format!("{cid}") } else { format!("block {cid} of {}", self.subject) };
        let next = match (self.list.is_empty(), reason) {
            (true, _) => "; name a gateway with --ipfs-gateway",
            (_, Reason::FetchNotFound) => "; check the CID, provide the data, or name another gateway with --ipfs-gateway",
            (_, _) => "; try again, or name another gateway with --ipfs-gateway",
        };
        let said = if said.is_empty() { "there is no gateway to ask".to_owned() } else { said.join("; ") };
        Failure::new(reason, format!("ipfs: {what} could not be fetched: {said}{next}"))
    }
}

/// How much a reason tells about what is wrong; the most telling one becomes the fetch's own.
fn weight(reason: Reason) -> u8 {
    match reason {
        Reason::CidMismatch => 6,
        Reason::CarIncomplete => 5,
        Reason::FetchTooLarge => 4,
        Reason::FetchDenied => 3,
        Reason::FetchTimeout => 2,
        Reason::FetchFailed => 1,
        _ => 0,
    }
}

// === impl Source ===

impl Source {
    fn request(&self, cid: &Cid, whole: bool) -> (Method, Url) {
        let cid = cid.to_string();
        let (method, path, query): (_, &[&str], &[(&str, &str)]) = match (self.kind, whole) {
            (Kind::Gateway, true) => (Method::GET, &["ipfs", &cid], &[("format", "car"), ("dag-scope", "all")]),
            (Kind::Gateway, false) => (Method::GET, &["ipfs", &cid], &[("format", "raw")]),
            (Kind::Rpc, true) => (Method::POST, &["api", "v0", "dag", "export"], &[("arg", &cid)]),
            (Kind::Rpc, false) => (Method::POST, &["api", "v0", "block", "get"], &[("arg", &cid)]),
        };
        let mut url = self.url.clone();
        // A URL that can have no path (`data:`) stays as it is, and fails when it is asked.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        (method, url)
    }

    /// Whether a URL leads to this very server, or to the name that it keeps for one CID (`<cid>.ipfs.<host>`).
    fn is_below(&self, url: &Url) -> bool {
        let (Some(own), Some(other)) = (self.url.host_str(), url.host_str()) else { return false };
        let same_port = self.url.port_or_known_default() == url.port_or_known_default();
        same_port && (other == own || self.url.domain().is_some() && other.ends_with(&format!(".ipfs.{own}")))
    }

    fn name(&self) -> String {
        shown(&self.url).trim_end_matches('/').to_owned()
    }

    fn said(&self) -> String {
        self.worst.as_ref().map_or_else(|| format!("{}: was not asked", self.name()), |failure| failure.message.clone())
    }
}

fn unreachable(name: &str, error: &reqwest::Error) -> Failure {
    let reason = if error.is_timeout() { Reason::FetchTimeout } else { Reason::FetchFailed };
    // Its own text repeats the URL.
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
    let what = if error.is_connect() { "cannot be reached" } else { "gave no answer" };
    Failure::new(reason, format!("{name}: {what}: {cause}"))
}
