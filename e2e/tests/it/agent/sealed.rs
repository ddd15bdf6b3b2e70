//! What is sealed for a run and cannot be opened: refused, never run, never a failure (P2). What can be opened is in `thread/secrets`.

use crds::node::{Sealed, key_id};
use serde_json::{Value, json};

use super::stage::{HELLO, Stage, inline};

#[tokio::test]
async fn what_cannot_be_opened_is_refused_and_not_run() {
    let mut stage = Stage::new("sealed").await;
    let identity = stage.identity("only").await;
    let _agent = stage.start(&identity, &[]);
    let node = stage.ready().await;
    let public = node.status.expect("it wrote one").public_key;
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &public).expect("base64");
    assert_eq!(bytes.len(), 32, "an X25519 key: {public:?}");
    let sealed = |key_id: String, value: &str| Some(Sealed { key_id, value: value.to_owned(), until: None });
    let noise = "bm9pc2U".repeat(12);
    let from = |source: Value| json!({ "module": inline(HELLO), "env": [{ "name": "A", "valueFrom": source }] });
    let secret = || from(json!({ "secretKeyRef": { "name": "s", "key": "k", "optional": true } }));
    let rows = [
        ("nothing-sealed", secret(), None, "nothing is sealed"),
        ("former-key", secret(), sealed("former".to_owned(), &noise), "started anew"),
        ("noise", secret(), sealed(key_id(&bytes), &noise), "does not open"),
        ("no-base64", secret(), sealed(key_id(&bytes), "?"), "does not open"),
        // Who needs none of it is not asked for it.
        ("needs-none", json!({ "module": inline(HELLO) }), sealed("former".to_owned(), &noise), ""),
    ];
    for (name, spec, sealed, message) in rows {
        let job = stage.create_job(name, spec).await;
        let (id, entry) = stage.entry_of(&job, 1);
        stage.assign_sealed((&id, &entry), sealed.as_ref()).await;
        let (reason, report) = stage.ended(&id).await;
        let said = report.ended.map(|ended| ended.message).unwrap_or_default();
        assert_eq!(reason, if message.is_empty() { "Completed" } else { "Refused" }, "{name}: {said}");
        assert!(said.contains(message), "{name}: {said}");
    }
}
