//! The runner's integration tests, one binary. Servers are hostile and ours, on loopback; nothing else is contacted.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod fetch_http;
mod fetch_ipfs;
mod publish;
mod server;
mod store;
