//! The one test binary of what works end to end on one machine, against real programs. One file per family of promises.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod agent;
mod archives;
mod bad_sources;
mod cluster;
mod cluster_up;
mod components;
mod examples;
mod identities;
mod ipfs;
mod network;
mod oci;
mod place;
mod processes;
mod protocol;
mod results;
mod rights;
mod s3;
mod seam_carver;
mod server;
mod svg;
mod thread;

/// A client that follows five redirects and asks no proxy.
fn http() -> reqwest::Client {
    // Fails only when another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::limited(5)).build().expect("a client")
}
