//! `wasmjob-agent`.

fn main() {
    // A process of the runner's own (zygote, compiler) never comes back from here; it must not have other threads.
    runner::role::enter();
}
