//! Guests that misbehave: each comes to its own ending, names what to do about it, and harms nobody else.

mod calls;
mod endings;
mod files;
mod guest;

use serde_json::Value;

use crate::ran::{Place, Ran};

/// What a run of this module came to, with these lines in its spec and these words after the command: the call's end and its status.
/// Outputs go to `out`.
fn run(place: &Place, module: &[u8], spec: &str, words: &[&str]) -> (Ran, Value) {
    let yaml = place.write("p.wasm", module).run(&["run", "p.wasm", "--dry-run"]);
    assert_eq!(yaml.code, Some(0), "{yaml:?}");
    place.write("job.yaml", format!("{}{spec}", yaml.stdout));
    let ran = place.run(&[&["run", "job.yaml", "--status-file", "s.json", "--output-dir", "out"], words].concat());
    let status = serde_json::from_str(&place.read("s.json")).unwrap();
    (ran, status)
}

/// The one word in which a status says how the run ended.
fn reason(status: &Value) -> &str {
    status["conditions"][0]["reason"].as_str().unwrap()
}

/// What lies in the working directory, hidden and half-made things included.
fn left(place: &Place) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
