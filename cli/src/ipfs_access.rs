//! Which IPFS gateways and nodes are asked: flags first, then what IPFS tools on this machine use, then public gateways.
//!
//! None of them is trusted: every block is checked against its CID.

use std::path::Path;

use runner::fetch::ipfs::IpfsAccess;
use url::Url;

use crate::config::Environment;

#[cfg(test)]
mod tests;

/// Gateways that serve raw blocks and CARs to anybody, as listed by the IPFS project.
const PUBLIC_GATEWAYS: [&str; 2] = ["https://trustless-gateway.link/", "https://ipfs.io/"];

/// A setting of this machine that is no URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place} names {text:?}, which is no http:// or https:// URL of an IPFS gateway")]
pub(crate) struct BadGateway {
    place: String,
    text: String,
}

/// The flags' gateways alone where there are any; else `IPFS_GATEWAY`; else the first gateway file; else the public ones.
pub(crate) fn ipfs_access(flags: &[Url], api: Option<&Url>, environment: &Environment) -> Result<IpfsAccess, BadGateway> {
    let gateways = if !flags.is_empty() {
        flags.to_vec()
    } else if let Some(text) = &environment.ipfs_gateway {
        urls("IPFS_GATEWAY", text)?
    } else if let Some((path, text)) = environment.ipfs_gateway_files().iter().find_map(|path| Some((path, first_line(path)?))) {
        urls(&path.display().to_string(), &text)?
    } else {
        PUBLIC_GATEWAYS.iter().map(|url| Url::parse(url).expect("the constants are URLs")).collect()
    };
    Ok(IpfsAccess { gateways, rpc: api.cloned().into_iter().collect() })
}

fn urls(place: &str, text: &str) -> Result<Vec<Url>, BadGateway> {
    text.split_whitespace()
        .map(|text| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            url.ok_or_else(|| BadGateway { place: place.to_owned(), text: text.to_owned() })
        })
        .collect()
}

fn first_line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}
