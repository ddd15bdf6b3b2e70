//! An output → a directory in IPFS: made into blocks here, sent as one CAR to kubo's RPC, which must say the same CID and pin it.
//!
//! The CID is the one that `ipfs add --cid-version=1 --recursive` gives the same files. Which nodes are asked is the administrator's to say,
//! never the job's.

mod block;
mod car;
mod directory;
mod file;

use std::time::Duration;

use cid::Cid;
use crds::reason::Reason;
use futures_util::FutureExt as _;
use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use url::Url;

use self::car::Car;
use super::contents::Contents;
use crate::failure::{Failure, chain};
use crate::fetch::FetchLimits;
use crate::fetch::retry::{Setback, retrying};

/// Most bytes of an answer that are read: a line for each root, of which there is one.
const ANSWER_BYTES: usize = 64 << 10;

/// How long reading the output may go on after the connection broke, before why it did is told.
const READING_ENDS: Duration = Duration::from_secs(1);

/// Nodes that keep what is published, asked in this order until one does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nodes<'a> {
    pub(crate) urls: &'a [Url],
    /// Connects wherever they are.
    pub(crate) client: &'a reqwest::Client,
    pub(crate) limits: &'a FetchLimits,
}

/// A line of the answer to `dag/import`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Imported {
    root: Option<Root>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Root {
    cid: Reference,
    #[serde(default)]
    pin_error_msg: String,
}

/// A CID in DAG-JSON.
#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "/")]
    cid: String,
}

/// Refuses, before anything is run, what could never be published from here.
pub(crate) fn check(urls: &[Url]) -> Result<(), Failure> {
    if urls.is_empty() {
        return Err(Failure::new(
            Reason::PublishFailed,
            "ipfs: there is no node to publish to: the administrator names kubo's RPC with --ipfs-api",
        ));
    }
    Ok(())
}

/// Publishes files, what is beside them, and the manifest as one directory. Returns its URI.
///
/// # Errors
/// `PublishFailed`: no node took it, each with what it said; or `OutputUnsafe`.
pub(crate) async fn publish(nodes: &Nodes<'_>, contents: &Contents) -> Result<String, Failure> {
    check(nodes.urls)?;
    let car = Car::plan(contents).await?;
    let mut said = Vec::new();
    for url in nodes.urls {
        match retrying(|| import(nodes, url, &car)).boxed().await {
            Ok(()) => return Ok(format!("ipfs://{}/", car.root())),
            Err(failure) if failure.reason != Reason::PublishFailed => return Err(failure),
            Err(failure) => said.push(failure.message),
        }
    }
    Err(Failure::new(Reason::PublishFailed, format!("ipfs: {} could not be published: {}", car.root(), said.join("; "))))
}

/// Sends the blocks to one node, which pins them.
async fn import(nodes: &Nodes<'_>, url: &Url, car: &Car) -> Result<(), Setback> {
    let name = shown(url);
    let limit = time_for(nodes.limits, car.bytes());
    let answer = tokio::time::timeout(limit, answer(nodes, url, car)).await;
    let late = |_| Setback::passing(Reason::PublishFailed, format!("{name}: no answer within {} s", limit.as_secs()));
    let (status, body) = answer.map_err(late)??;
    if status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR {
        return Err(Setback::passing(Reason::PublishFailed, format!("{name}: it answered {status}")));
    }
    confirmed(status, &body, car.root()).map_err(|why| Setback::last(Reason::PublishFailed, format!("{name}: {why}")))
}

/// What the node says once it has all blocks.
async fn answer(nodes: &Nodes<'_>, url: &Url, car: &Car) -> Result<(StatusCode, Vec<u8>), Setback> {
    let mut target = url.clone();
    // A URL that can have no path stays as it is, and fails when it is asked.
    if let Ok(mut segments) = target.path_segments_mut() {
        segments.pop_if_empty().extend(["api", "v0", "dag", "import"]);
    }
    target.query_pairs_mut().append_pair("pin-roots", "true");
    let (stream, sent) = car.stream();
    let form = Form::new().part("file", Part::stream(reqwest::Body::wrap_stream(stream)).file_name("output.car"));
    let broken =
        |what: &str, error: &reqwest::Error| Setback::passing(Reason::PublishFailed, format!("{}: {what}: {}", shown(url), cause(error)));
    let answer = match nodes.client.post(target).multipart(form).send().await {
        Ok(answer) => answer,
        // What went wrong on our side says more than the connection that broke of it.
        Err(error) => {
            return Err(match tokio::time::timeout(READING_ENDS, sent).await {
                Ok(Ok(Err(failure))) => Setback::Final(failure),
                _ => broken("not reached", &error),
            });
        }
    };
    let status = answer.status();
    Ok((status, read(answer).await.map_err(|error| broken("it broke off", &error))?))
}

/// What a node's answer says: that it has pinned this very root, or why not.
fn confirmed(status: StatusCode, body: &[u8], root: &Cid) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    if status != StatusCode::OK {
        let quoted: String = text.trim().chars().take(200).collect();
        return Err(format!("it answered {status}: {quoted}"));
    }
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Imported>(line).ok());
    let Some(answered) = lines.find_map(|line| line.root) else {
        return Err("its answer names no root: it may be no kubo".to_owned());
    };
    if !answered.pin_error_msg.is_empty() {
        let quoted: String = answered.pin_error_msg.chars().take(200).collect();
        return Err(format!("it could not pin the blocks: {quoted}"));
    }
    match Cid::try_from(answered.cid.cid.as_str()) {
        Ok(cid) if cid == *root => Ok(()),
        _ => Err(format!("it says the CID is {:?}, and it is {root}", answered.cid.cid.chars().take(100).collect::<String>())),
    }
}

/// The body as far as it is of use.
async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = ANSWER_BYTES.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(body)
}

/// As long as an upload of so many bytes may take.
fn time_for(limits: &FetchLimits, bytes: u64) -> Duration {
    let slowest = limits.idle_timeout + Duration::from_secs(bytes / limits.min_bytes_per_second.max(1));
    slowest.min(limits.total_timeout)
}

fn cause(error: &reqwest::Error) -> String {
    // Its own text repeats the URL.
    std::error::Error::source(error).map_or_else(|| error.to_string(), chain)
}

/// The URL without what may be secret in it.
fn shown(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()) + &url.port().map(|port| format!(":{port}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
