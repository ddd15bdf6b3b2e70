//! Tests in a process of their own, and the processes below one.

use std::process::Command;
use std::time::Duration;

/// Set in a process that was started for one test.
const ALONE: &str = "WASMJOB_TEST_ALONE";
/// Nothing here takes that long.
const HANG: Duration = Duration::from_mins(2);

/// Runs a test's body in a process that runs nothing else, so that what is below it is the test's. `name` is the test's own.
#[expect(clippy::disallowed_methods, reason = "how a test tells its child what it is")]
pub(crate) fn alone(name: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(async { tokio::time::timeout(HANG, body).await.expect("it hangs") });
    }
    let output = rerun(name).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// This binary again, even if another has been built in its place, to run one test alone.
pub(crate) fn rerun(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "--nocapture", name]).env(ALONE, "1");
    command
}

/// Whether this process was started for one test.
#[expect(clippy::disallowed_methods, reason = "how a test tells its child what it is")]
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// The children of a process that have not ended.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    processes.filter(|process| stat(*process).is_some_and(|(state, its_parent)| its_parent == parent && state != 'Z')).collect()
}

/// The zygotes below a process.
pub(crate) fn zygotes(supervisor: u32) -> Vec<u32> {
    let is_zygote =
        |process: &u32| std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| line.starts_with(b"wasmjob: zygote"));
    children(supervisor).into_iter().filter(is_zygote).collect()
}

/// The workers below a process, idle or not.
pub(crate) fn workers(supervisor: u32) -> Vec<u32> {
    zygotes(supervisor).into_iter().flat_map(children).collect()
}

/// A process's state, as in `ps`, and its parent; `None` when it is no more.
pub(crate) fn stat(process: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub(crate) fn is_gone(process: u32) -> bool {
    stat(process).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// Waits until it is so, or fails saying what was waited for.
pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < HANG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As `until`, among other tasks.
pub(crate) async fn until_async(what: &str, so: impl Fn() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(HANG, wait).await.is_ok(), "waited in vain: {what}");
}
