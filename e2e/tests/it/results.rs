//! What a guest left, published to real stores: every publisher, in every layout, also when the guest failed; and what is refused.

mod config_map;
mod guest;
mod ipfs;
mod s3;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) use self::guest::Guest;
use crate::place::{Place, Ran};

/// Runs the guest on this machine as a job of this name, with these outputs; its status.
fn run(place: &Place, name: &str, guest: &Guest<'_>, outputs: Value, flags: &[&str]) -> (Ran, Value) {
    let spec = json!({ "module": { "inline": guest.base64() }, "outputs": outputs });
    let job = json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": { "name": name }, "spec": spec });
    place.write("job.json", job.to_string());
    let ran = place.run(&[&["run", "job.json", "--overwrite", "--status-file", "s.json"], flags].concat());
    (ran, place.status())
}

/// The name of an attempt's folder, which has a random part, as `A`.
fn nameless(key: &str) -> String {
    let is_attempt = |step: &str| step.len() == 38 && step.starts_with("1-0-1-");
    key.split('/').map(|step| if is_attempt(step) { "A" } else { step }).collect::<Vec<_>>().join("/")
}

/// The files as text; large ones are told apart by their size.
fn shown(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, String> {
    let text =
        |bytes: &Vec<u8>| if bytes.len() > 4096 { format!("{} bytes", bytes.len()) } else { String::from_utf8_lossy(bytes).into_owned() };
    files.iter().map(|(name, bytes)| (name.as_str(), text(bytes))).collect()
}
