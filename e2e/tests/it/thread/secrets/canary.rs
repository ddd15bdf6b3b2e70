//! What must never be seen: values of Secrets in any object, event, log, command line, environment or file but their own.

use std::fs;
use std::path::Path;

use e2e::Minio;
use e2e::cluster::Running;
use serde_json::json;

use super::super::guests::inline;
use super::super::stage::Stage;
use super::stores::{keys, reads_and_writes};
use super::{COUNTS, everywhere, grant, secret};

/// Told by nothing else on this machine.
const CANARY: &str = "canary-5f0d9b1e77c34a6c";

/// Everything that the API server holds of this stage, Secrets apart.
fn objects(stage: &Stage<'_>) -> String {
    let mut said = String::new();
    for namespace in [&stage.namespace, &stage.pool] {
        let kinds = "wasmjobs,wasmnodes,leases,configmaps,events,events.events.k8s.io,pods";
        let answered =
            stage.cluster.kubectl(&["--namespace", namespace, "get", kinds, "-o", "yaml", "--show-managed-fields"]).expect("it runs");
        assert_eq!(answered.code, 0, "{answered:?}");
        said.push_str(&answered.stdout);
    }
    assert!(said.contains("kind: WasmNode") && said.contains("kind: WasmJob"), "it looked at nothing");
    said
}

/// Command lines and environments of a process and all that come from it.
fn processes(root: u32) -> String {
    let (mut said, mut pending) = (String::new(), vec![root]);
    while let Some(id) = pending.pop() {
        let folder = Path::new("/proc").join(id.to_string());
        for file in ["cmdline", "environ"] {
            // A worker may have ended.
            said.push_str(&String::from_utf8_lossy(&fs::read(folder.join(file)).unwrap_or_default()));
        }
        for task in fs::read_dir(folder.join("task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pending.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    said
}

/// Whether any file below holds one of the words.
fn held_below(folder: &Path, words: &[&str]) -> Vec<String> {
    let (mut found, mut pending) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    let holds = |word: &&&str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
                    found.extend(words.iter().find(holds).map(|word| format!("{}: {word}", entry.path().display())));
                }
                _ => {}
            }
        }
    }
    found
}

fn clean(what: &str, said: &str, words: &[&str]) {
    for word in words {
        assert!(!said.contains(word), "{what} tells {word}: {}", said.lines().find(|line| line.contains(word)).unwrap_or_default());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_secret_holds_is_seen_by_its_guest_and_by_nobody_else() {
    let minio = Minio::start().await.expect("MinIO starts");
    minio.create_bucket("data").await.expect("created");
    minio.put("data", "in/word", "go on").await.expect("stored");
    let mut stage = Stage::new("canary").await;
    stage.log = Some("trace");
    secret(&stage, "canary", &json!({ "token": format!("{CANARY}~"), "more": format!("{CANARY}-more") })).await;
    secret(&stage, "keys", &keys(&minio)).await;
    secret(
        &stage,
        "wrong",
        &json!({ "accessKeyId": "A", "secretAccessKey": format!("{CANARY}-wrong"), "sessionToken": format!("{CANARY}-session") }),
    )
    .await;
    for name in ["canary", "keys", "wrong"] {
        grant(&stage, name);
    }
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text).trim_end_matches('=').to_owned()
    };
    let secret_key = minio.keys().secret_key.clone();
    // In base64 as the Secret holds it; a letter may differ where the text goes on.
    let encoded = base64(CANARY)[..28].to_owned();
    let words = [CANARY, &*encoded, &*secret_key, &*base64(&secret_key)];

    let (operator, agent) = (stage.operator("a").await, stage.agent("n1").await);
    let mut endless = everywhere("canary");
    endless["module"] = inline(super::super::guests::ENDLESS);
    stage.create("runs", endless).await;
    stage.create("counts", everywhere("canary")).await;
    stage.create("stores", reads_and_writes(&minio, true, Some("keys"))).await;
    stage.create("refused", reads_and_writes(&minio, true, Some("wrong"))).await;
    let fails =
        json!({ "module": inline(COUNTS), "env": [{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "canary", "key": "none" } } }] });
    stage.create("fails", fails).await;
    for (name, expected) in
        [("counts", "GuestExit"), ("stores", "Completed"), ("refused", "CredentialDenied"), ("fails", "CredentialDenied")]
    {
        let (reason, status) = stage.ended(name).await;
        assert_eq!(reason, expected, "{name}: {status:?}");
    }
    stage.says("runs", "Running").await;
    // While a guest has it, and after.
    let look = |when: &str, running: &[&Running]| {
        clean(&format!("an object {when}"), &objects(&stage), &words);
        for program in running {
            let said = program.said();
            assert!(said.contains("TRACE"), "{} tells everything: {} bytes", program.identity().name, said.len());
            clean(&format!("the log of {} {when}", program.identity().name), &said, &words);
            clean(&format!("a process of {} {when}", program.identity().name), &processes(program.id()), &words);
            let limits = fs::read_to_string(format!("/proc/{}/limits", program.id())).expect("it runs");
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("there is one");
            assert_eq!(
                core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
                ["0", "0"],
                "no core file of {}",
                program.identity().name
            );
        }
    };
    look("while it runs", &[&operator, &agent]);
    assert!(objects(&stage).contains("keyId"), "something is sealed while it runs");
    let folder = stage.path(&format!("{}-n1", stage.pool));
    let of_attempt = |path: &String| path.contains("/cache/work/");
    let held = held_below(&folder, &words);
    assert!(held.iter().all(of_attempt), "only the running guest's own files hold it: {held:?}");
    assert!(held.iter().any(of_attempt), "the running guest's files hold it");
    stage.edit("runs", json!({ "cancel": true })).await;
    assert_eq!(stage.ended("runs").await.0, "Cancelled");
    stage.settles().await;
    look("at the end", &[&operator, &agent]);
    assert_eq!(held_below(&folder, &words), Vec::<String>::new(), "nothing of it is left on the disk");
    for (key, bytes) in published(&minio).await {
        clean(&format!("the object {key}"), &String::from_utf8_lossy(&bytes), &words);
    }
}

async fn published(minio: &Minio) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for key in minio.list("data").await.expect("listed") {
        let bytes = minio.get("data", &key).await.expect("read");
        all.push((key, bytes));
    }
    assert!(all.len() > 1, "something was published");
    all
}
