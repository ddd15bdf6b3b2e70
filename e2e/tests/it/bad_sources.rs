//! Sources that are not there, not allowed, not what they should be, or never end: a final reason that says what to do, and nothing
//! half-made is left.

mod http;
mod ipfs;
mod s3;

use sha2::{Digest as _, Sha256};

use crate::place::{Place, Ran};

/// A module that does nothing and succeeds.
fn idle() -> Vec<u8> {
    wat::parse_str(r#"(module (func (export "_start")))"#).expect("a module")
}

/// A document that runs this module (a source in YAML's flow form) with this input.
fn document(module: &str, input: &str) -> String {
    format!(
        "apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {{name: bad}}\nspec:\n  module: {module}\n  inputs:\n  - {{name: data, {input}}}\n"
    )
}

/// Runs with a status file and checks that it is refused with this reason and all these words, and leaves nothing.
fn refused(place: &Place, words: &[&str], reason: &str, says: &[&str]) -> Ran {
    let before = place.left();
    let ran = place.run(&[words, &["--status-file", "s.json", "--output-dir", "out"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(125), ""), "{words:?}: {ran:?}");
    let message = ran.stderr.strip_prefix(&format!("wasmjob: {reason}: ")).unwrap_or_else(|| panic!("{words:?}: not {reason}: {ran:?}"));
    for said in says {
        assert!(message.contains(said), "{words:?}: no {said:?} in {message}");
    }
    assert!(!message.contains("panicked") && !message.contains("wasmjob: "), "one message: {ran:?}");

    let status = place.status();
    let attempt = &status["attempts"][0];
    assert_eq!((&status["conditions"][0]["reason"], &attempt["reason"]), (&reason.into(), &reason.into()), "{status}");
    assert!(attempt["exitCode"].is_null() && status["results"].is_null(), "no guest ran: {status}");

    let mut after = place.left();
    after.retain(|name| name != "s.json" && !before.contains(name));
    assert_eq!(after, Vec::<String>::new(), "{words:?}");
    for (name, bytes) in place.blobs() {
        assert_eq!(name, hex::encode(Sha256::digest(bytes)), "{words:?}");
    }
    ran
}
