use std::fs;

use super::{differing, pinned, update};

/// SHA-256 of `a`.
const A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

#[test]
fn the_digest_after_a_served_file_is_made_that_files() {
    let examples = tempfile::tempdir().unwrap();
    fs::write(examples.path().join("a.wasm"), "a").unwrap();
    let rows = [
        ("url: http://127.0.0.1:8080/a.wasm\n  digest: sha256:0\n", format!("url: http://127.0.0.1:8080/a.wasm\n  digest: sha256:{A}\n")),
        ("# examples/a.wasm\ninline: ''\ndigest: x\n", format!("# examples/a.wasm\ninline: YQ==\ndigest: sha256:{A}\n")),
        ("inline: Yg==\ndigest: sha256:0\n", "inline: Yg==\ndigest: sha256:0\n".to_owned()),
        ("url: https://example.com/b\ndigest: sha256:0\n", "url: https://example.com/b\ndigest: sha256:0\n".to_owned()),
    ];
    for (text, wanted) in rows {
        assert_eq!(pinned(text, examples.path()).unwrap(), wanted);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let examples = tempfile::tempdir().unwrap();
    let error = pinned("url: http://127.0.0.1:8080/b.wasm\ndigest: sha256:0\n", examples.path()).unwrap_err();
    assert!(error.to_string().contains("b.wasm"), "{error}");
    fs::write(examples.path().join("b.yaml"), "url: http://127.0.0.1:8080/b.wasm\ndigest: sha256:0\n").unwrap();
    let lines = differing(examples.path(), examples.path()).unwrap();
    assert!(lines.len() == 1 && lines[0].contains("b.yaml") && lines[0].contains("b.wasm"), "{lines:?}");
}

#[test]
fn a_sample_differs_until_it_is_updated() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.wasm"), "a").unwrap();
    fs::write(folder.path().join("a.yaml"), "url: http://127.0.0.1:8080/a.wasm\ndigest: sha256:0\n").unwrap();
    assert_eq!(
        differing(folder.path(), folder.path()).unwrap(),
        ["manifests/samples/a.yaml: a digest is not that of the file in examples/"]
    );
    update(folder.path(), folder.path()).unwrap();
    assert_eq!(differing(folder.path(), folder.path()).unwrap(), <[String; 0]>::default());
}
