//! Where IPFS blocks are asked for.

use url::Url;

/// Servers that have blocks, asked in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpfsAccess {
    /// Trustless gateways.
    pub gateways: Vec<Url>,
    /// kubo RPC endpoints.
    pub rpc: Vec<Url>,
}
