//! The runner's integration tests, one binary. Servers are hostile and ours, on loopback; nothing else is contacted.

mod fetch_http;
mod fetch_ipfs;
mod publish;
mod server;
mod store;
