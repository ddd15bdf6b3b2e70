//! The runner's integration tests, one binary. Servers are hostile and ours, on loopback; nothing else is contacted.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod escape;
mod fetch_http;
mod fetch_ipfs;
mod kill_all;
mod lease;
mod many;
mod outputs;
mod place;
mod processes;
mod publish;
mod server;
mod store;

/// This binary is the zygote and the compiler of the runners in its tests: before the test harness's own `main`, which is not ours.
#[used]
#[expect(unsafe_code, reason = "naming a section is marked unsafe")]
// SAFETY: what the section holds is called with C's convention, once, before `main`; `enter` needs nothing that is set up later.
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    runner::role::enter_playing(escape::play);
    escape::play_in_the_open();
}
