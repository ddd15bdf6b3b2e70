//! A node whose disk is full: what it fetches says so, what it cannot journal it does not start, and when there is room it serves again.
//! The disk is a small tmpfs in a mount namespace of the agent's own. Needs root.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crds::status::AttemptStatus;
use e2e::Server;
use e2e::server::Answer;
use serde_json::json;

use super::guests::{NOTHING, inline};
use super::stage::Stage;

const DISK: &str = "48m";
const LARGER: usize = 64 << 20;

/// The same command, behind a mount that it alone sees, and that ends with it. It is replaced by the command: the process is the same.
fn on_a_small_disk(command: &Command, state: &std::path::Path) -> Command {
    let script = format!("mount -t tmpfs -o size={DISK} none \"$0\" && exec \"$@\"");
    let mut moved = Command::new("unshare");
    moved.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(state).arg(command.get_program()).args(command.get_args());
    moved.env_clear();
    moved
}

/// Takes all the room that there is.
fn fill(disk: &std::path::Path) -> PathBuf {
    let path = disk.join("filler");
    let mut filler = File::create(&path).expect("created");
    let mut bytes = vec![0; 1 << 20];
    while !bytes.is_empty() {
        if filler.write_all(&bytes).is_err() {
            bytes.truncate(bytes.len() / 2);
        }
    }
    path
}

/// What was not journalled did not start; what was may have found no room for its module.
fn tells_of_the_disk(attempts: &[AttemptStatus]) {
    for AttemptStatus { reason, message, .. } in attempts {
        let words = if reason == "Disrupted" { "the node's disk is full or broken" } else { "No space left on device" };
        assert!(matches!(reason.as_str(), "Disrupted" | "FetchFailed") && message.contains(words), "{reason}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_says_so_starts_nothing_and_recovers() {
    let server = Server::start().expect("it starts");
    let large = server.answer("/large", Answer::bytes(vec![7; LARGER]));
    let stage = Stage::new("disk").await;
    let _operator = stage.operator("a").await;
    let identity = stage.agent_identity("n1").await;
    let folder = stage.path(&identity.pod.node);
    fs::create_dir_all(&folder).expect("created");
    let mut agent = stage.cluster.run(identity.clone(), on_a_small_disk(&stage.agent_command(&identity), &folder)).expect("it starts");
    stage
        .until("the agent takes work", async || {
            agent.still_running().expect("it has a disk: this test mounts one, and runs as root for that");
            stage.is_ready(&identity.pod.node).await.then_some(())
        })
        .await;
    let disk = PathBuf::from(format!("/proc/{}/root{}", agent.id(), folder.display()));

    // What is larger than the disk fails by itself; what is beside it does not notice.
    stage.create("too-large", json!({ "module": inline(NOTHING), "inputs": [{ "name": "large", "http": { "url": large } }] })).await;
    stage.until("it was tried", async || (!stage.status("too-large").await.attempts.is_empty()).then_some(())).await;
    stage.create("beside", json!({ "module": inline(NOTHING) })).await;
    assert_eq!(stage.ended("beside").await.0, "Completed");

    // Without room for its journal it starts nothing. The journal's last block may take a few records more.
    let filler = fill(&disk);
    let closed = async || {
        let node = stage.nodes().get(&identity.pod.node).await.expect("it is there");
        let conditions = node.status.into_iter().flat_map(|status| status.conditions);
        conditions.into_iter().find(|condition| condition.type_ == "Ready" && condition.status == "False").map(|condition| condition.reason)
    };
    let mut number = 0;
    let why = loop {
        stage.create(&format!("job-{number}"), json!({ "module": inline(NOTHING) })).await;
        let settled = async || match closed().await {
            Some(why) => Some(Some(why)),
            None => stage.status(&format!("job-{number}")).await.is_finished().then_some(None),
        };
        if let Some(why) = stage.until("it ends, or the node is closed", settled).await {
            break why;
        }
        number += 1;
    };
    assert_eq!(why, "JournalFailed");
    stage.create("waits", json!({ "module": inline(NOTHING) })).await;
    let told = async || {
        let status = stage.status("waits").await;
        let scheduled = status.conditions.into_iter().find(|condition| condition.type_ == "Scheduled")?;
        Some(scheduled.message).filter(|message| message.contains("disk does not take the agent's journal"))
    };
    stage.until("the job says why it waits", told).await;
    tells_of_the_disk(&stage.status("waits").await.attempts);

    fs::remove_file(filler).expect("removed");
    for job in ["waits".to_owned(), format!("job-{number}")] {
        let (reason, status) = stage.ended(&job).await;
        assert_eq!(reason, "Completed", "{job}: {status:?}");
        tells_of_the_disk(&status.attempts[1..]);
    }
    let (reason, status) = stage.ended("too-large").await;
    let message = &status.attempts[0].message;
    assert!(reason == "FetchFailed" && message.contains("No space left on device"), "{reason}: {message}");
    stage.settles().await;
}
