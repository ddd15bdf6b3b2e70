//! The `ipfs` publisher against kubo.

use std::collections::BTreeMap;

use e2e::Kubo;
use e2e::kubo::Layout;
use serde_json::{Value, json};

use super::{Guest, run, shown};
use crate::place::{Place, files, nobody};

fn outputs() -> Value {
    json!([{ "name": "outputs", "publish": [{ "ipfs": {} }] }])
}

/// What kubo has below the CID, by path.
fn fetched(kubo: &Kubo, cid: &str) -> (tempfile::TempDir, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("files");
    kubo.run(&["get", "--output", target.to_str().expect("text"), cid]).expect("kubo has all of it");
    let found = files(&target);
    (folder, found)
}

#[test]
fn the_cid_is_the_one_that_kubo_gives_the_same_files_and_is_pinned() {
    let (kubo, place) = (Kubo::start().expect("kubo starts"), Place::new());
    let block: Vec<u8> = (0..8_192_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let rows: [(&str, Guest<'_>, usize); 4] = [
        (
            "small",
            Guest { stdout: "hello", files: &[(0, "a.txt", b"a", 1), (0, "d/b.txt", b"b", 3), (0, "empty", b"", 0)], ..Guest::default() },
            3,
        ),
        ("failed", Guest { stderr: "no", files: &[(0, "d/b.txt", b"b", 1)], exit_code: 9, ..Guest::default() }, 1),
        // 46 MiB: more pieces than one node links to. And one that ends with a piece.
        ("large", Guest { files: &[(0, "large", &block, 5888), (0, "even", &block, 64)], ..Guest::default() }, 2),
        // More names than one block holds.
        ("many", Guest { files: &[(0, "d/one", b"1", 1)], many: 3000, ..Guest::default() }, 3001),
    ];
    for (name, guest, count) in rows {
        let (ran, status) = run(&place, name, &guest, outputs(), &["--ipfs-api", kubo.rpc()]);
        assert_eq!(ran.code, Some(guest.exit_code), "{name}: {ran:?}");
        let result = &status["results"][0];
        assert_eq!(result["files"], count, "{name}: {status}");
        let cid = result["uri"].as_str().and_then(|uri| uri.strip_prefix("ipfs://")?.strip_suffix('/')).expect("a URI").to_owned();
        assert!(kubo.is_pinned(&cid).expect("asked"), "{name}: {cid}");
        let (folder, found) = fetched(&kubo, &cid);
        let layout = Layout { cid_v1: true, ..Layout::default() };
        assert_eq!(kubo.add(&folder.path().join("files"), &layout).expect("added"), cid, "{name}");
        let beside = ["exitCode", "manifest.json", "stderr", "stdout"];
        let own: BTreeMap<_, _> =
            found.iter().filter(|(path, _)| !beside.contains(&path.as_str())).map(|(path, bytes)| (path.clone(), bytes.clone())).collect();
        let left = files(&place.path().join(format!("{name}-outputs")));
        assert!(own == left, "{name}: {:?} {:?}", own.len(), left.len());
        let shown = shown(&found);
        assert_eq!((shown["stdout"].as_str(), shown["stderr"].as_str()), (guest.stdout, guest.stderr), "{name}");
        assert_eq!(shown["exitCode"], guest.exit_code.to_string(), "{name}");
    }
}

#[test]
fn a_job_that_nobody_could_publish_is_not_run_and_a_node_that_is_away_is_told() {
    let place = Place::new();
    let guest = Guest { stdout: "ran", files: &[(0, "a", b"a", 1)], ..Guest::default() };
    let (ran, status) = run(&place, "nowhere", &guest, outputs(), &[]);
    assert_eq!((status["conditions"][0]["reason"].clone(), ran.stdout.as_str()), (json!("PublishFailed"), ""), "{status}");
    assert!(ran.stderr.contains("--ipfs-api"), "{ran:?}");

    let away = nobody();
    let (ran, status) = run(&place, "away", &guest, outputs(), &["--ipfs-api", &away]);
    assert_eq!((status["conditions"][0]["reason"].clone(), ran.stdout.as_str()), (json!("PublishFailed"), "ran"), "{status}");
    assert!(ran.stderr.contains(&away) && ran.stderr.contains("tried 3 times"), "{ran:?}");
    assert!(status["results"].is_null(), "{status}");
}
