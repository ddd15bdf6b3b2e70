//! Secrets on their way to a guest: granted by name, read when the job is assigned, sealed to the node, and seen nowhere else. Credentials of
//! S3 stores are `stores`, what must never be seen is `canary`.

mod canary;
mod sessions;
mod stores;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::guests::inline;
use super::stage::{Stage, attempts, signal};
use rustix::process::Signal;

/// Exits with the number of tildes that it finds on stdin, in its variables and in the file `token` of its first input.
pub(super) const COUNTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 4)
  (data (i32.const 128) "token")
  (func $count (param $from i32) (param $bytes i32) (result i32)
    (local $end i32) (local $found i32)
    (local.set $end (i32.add (local.get $from) (local.get $bytes)))
    (block $out (loop $next
      (br_if $out (i32.ge_u (local.get $from) (local.get $end)))
      (if (i32.eq (i32.load8_u (local.get $from)) (i32.const 126))
        (then (local.set $found (i32.add (local.get $found) (i32.const 1)))))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br $next)))
    (local.get $found))
  (func $read (param $fd i32) (result i32)
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 16384))
    (i32.store (i32.const 8) (i32.const 0))
    (drop (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $count (i32.const 4096) (i32.load (i32.const 8))))
  (func (export "_start")
    (local $found i32)
    (local.set $found (call $read (i32.const 0)))
    (drop (call $sizes (i32.const 12) (i32.const 16)))
    (drop (call $environ (i32.const 32768) (i32.const 65536)))
    (local.set $found (i32.add (local.get $found) (call $count (i32.const 65536) (i32.load (i32.const 16)))))
    (if (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 128) (i32.const 5) (i32.const 0) (i64.const 2) (i64.const 0)
          (i32.const 0) (i32.const 20)))
      (then (local.set $found (i32.add (local.get $found) (call $read (i32.load (i32.const 20)))))))
    (call $exit (local.get $found))))"#;

/// Writes a Secret, and what it held before is gone.
pub(super) async fn secret(stage: &Stage<'_>, name: &str, values: &Value) {
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": values });
    secrets.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(secret)).await.expect("written");
}

/// Grants it to the operator as the message of a refusal says.
pub(super) fn grant(stage: &Stage<'_>, name: &str) {
    let role = format!("wasmjob-secret-{name}");
    let resource = format!("--resource-name={name}");
    let done = stage.kubectl(&["create", "role", &role, "--verb=get", "--resource=secrets", &resource]);
    assert_eq!(done.code, 0, "{done:?}");
    let to = "--serviceaccount=wasmjob-system:wasmjob-operator";
    let done = stage.kubectl(&["create", "rolebinding", &role, &format!("--role={role}"), to]);
    assert_eq!(done.code, 0, "{done:?}");
}

fn key(name: &str, key: &str) -> Value {
    json!({ "secretKeyRef": { "name": name, "key": key } })
}

/// Every way in which a guest gets a Secret; nine tildes of it.
pub(super) fn everywhere(name: &str) -> Value {
    json!({
        "module": inline(COUNTS),
        "envFrom": [{ "prefix": "FROM_", "secretRef": { "name": name } }],
        "env": [{ "name": "ONE", "valueFrom": key(name, "token") }, { "name": "NONE", "valueFrom": { "secretKeyRef": { "name": name, "key": "none", "optional": true } } }],
        "stdin": { "valueFrom": key(name, "token") },
        "inputs": [{ "name": "secret", "secret": { "name": name } }],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_was_granted_by_name_reaches_the_guest_and_no_other_does() {
    let stage = Stage::new("secrets").await;
    secret(&stage, "granted", &json!({ "token": "~~", "more": "~" })).await;
    secret(&stage, "denied", &json!({ "token": "~~" })).await;
    secret(&stage, "large", &json!({ "token": "~".repeat(9000) })).await;
    for name in ["granted", "large", "none"] {
        grant(&stage, name);
    }
    let (_operator, _agent) = (stage.operator("a").await, stage.agent("n1").await);
    stage.create("everywhere", everywhere("granted")).await;
    let one = |from: Value| json!({ "module": inline(COUNTS), "env": [{ "name": "A", "valueFrom": from }] });
    let rows = [
        ("not-granted", one(key("denied", "token")), "CredentialDenied", "was not granted Secret \"denied\""),
        ("not-there", one(key("none", "token")), "CredentialDenied", "there is no Secret \"none\""),
        ("no-key", one(key("granted", "nothing")), "CredentialDenied", "has no key \"nothing\": it has more, token"),
        ("too-large", one(key("large", "token")), "InvalidSpec", "at most 8192 travel to a node"),
    ];
    for (name, spec, ..) in &rows {
        stage.create(name, spec.clone()).await;
    }
    let (reason, status) = stage.ended("everywhere").await;
    // Variables: 2 of all keys, 1 more, 2 of one key; stdin 2; the file 2.
    assert_eq!((reason.as_str(), status.output.and_then(|output| output.exit_code)), ("GuestExit", Some(9)));
    for (name, _, expected, message) in rows {
        let (reason, status) = stage.ended(name).await;
        let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").expect("always there");
        assert_eq!((reason.as_str(), status.attempts.len()), (expected, 0), "{name}: {status:?}");
        assert!(finished.message.contains(message), "{name}: {}", finished.message);
        if name == "not-granted" {
            do_as_told(&stage, &finished.message);
        }
    }
    stage.create("granted-now", one(key("denied", "token"))).await;
    assert_eq!(stage.ended("granted-now").await.1.output.and_then(|output| output.exit_code), Some(2));
    stage.settles().await;
    let nodes = stage.cluster.kubectl(&["--namespace", &stage.pool, "get", "wasmnodes", "-o", "jsonpath={.items[*].spec.sealed}"]);
    assert_eq!(nodes.expect("it runs").stdout, "{}", "what was sealed is gone with the last entry");
}

/// The commands in the message, by a user who copies them.
fn do_as_told(stage: &Stage<'_>, message: &str) {
    let (_, commands) = message.split_once("kubectl -n ").expect("it has commands");
    for command in commands.split(" && ") {
        let words: Vec<&str> = command.trim_start_matches("kubectl -n ").split_whitespace().skip(1).collect();
        let done = stage.kubectl(&words);
        assert_eq!(done.code, 0, "{done:?}");
    }
}

/// P2: an agent that comes back has another key, and what its runs are given is sealed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_with_a_new_key_gets_it_sealed_again_and_nothing_fails() {
    let stage = Stage::new("keys").await;
    secret(&stage, "s", &json!({ "token": "~" })).await;
    grant(&stage, "s");
    let _operator = stage.operator("a").await;
    let identity = stage.agent_identity("n1").await;
    let agent = stage.agent_as(&identity);
    stage.takes_work(&identity.pod.node).await;
    let before = public_key(&stage, &identity.pod.node).await;
    let loops = super::guests::ENDLESS;
    stage
        .create("again", json!({ "module": inline(loops), "timeoutSeconds": 20, "env": [{ "name": "A", "valueFrom": key("s", "token") }] }))
        .await;
    stage.says("again", "Running").await;
    signal(&agent, Signal::KILL);
    drop(agent);
    let _agent = stage.agent_as(&identity);
    let new_key = async || Some(public_key(&stage, &identity.pod.node).await).filter(|key| *key != before);
    stage.until("the agent has another key", new_key).await;
    let (reason, status) = stage.ended("again").await;
    assert_eq!(reason, "Timeout", "it ran again: {status:?}");
    assert_eq!(attempts(&status), [(2, "Timeout"), (1, "AgentRestarted")]);
}

async fn public_key(stage: &Stage<'_>, node: &str) -> String {
    stage.nodes().get(node).await.expect("it is there").status.expect("it says").public_key
}
