use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Document, FileLayer, Unfit, choose, files, module, parse};

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const WASM: &str = "application/wasm";
const TEXT: &str = "text/plain";

fn layer(media_type: &str, digest: &str, title: Option<&str>) -> Value {
    let mut layer = json!({ "mediaType": media_type, "digest": digest, "size": 3 });
    if let Some(title) = title {
        layer["annotations"] = json!({ "org.opencontainers.image.title": title });
    }
    layer
}

fn manifest(layers: &[Value]) -> Value {
    let config = json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": A, "size": 2 });
    json!({ "schemaVersion": 2, "config": config, "layers": layers })
}

fn read(value: &Value) -> super::ImageManifest {
    match parse(value.to_string().as_bytes()).expect("it is one") {
        Document::Manifest(manifest) => *manifest,
        Document::Index(_) => panic!("no index: {value}"),
    }
}

#[test]
fn the_module_is_the_only_wasm_layer() {
    let rows = [
        (vec![layer(WASM, A, None)], Ok(A)),
        (vec![layer(TEXT, A, None), layer("Application/WASM; v=1", B, None)], Ok(B)),
        (vec![layer("application/vnd.wasm.content.layer.v1+wasm", A, None)], Ok(A)),
        (vec![layer("application/vnd.bytecodealliance.wasm.component.layer.v0+wasm", A, None)], Ok(A)),
        (vec![], Err(Unfit::NoModule(0))),
        (vec![layer("application/vnd.oci.image.layer.v1.tar+gzip", A, None)], Err(Unfit::NoModule(1))),
        (vec![layer("text/x+wasm", A, None)], Err(Unfit::NoModule(1))),
        (vec![layer(WASM, A, None), layer(WASM, A, None)], Err(Unfit::SeveralModules(2))),
        (vec![layer(WASM, &format!("sha512:{}", "a".repeat(128)), None)], Err(Unfit::OtherDigest(format!("sha512:{}", "a".repeat(128))))),
    ];
    for (layers, expected) in rows {
        let found = module(&read(&manifest(&layers))).map(|layer| layer.digest.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{layers:?}");
    }
}

#[test]
fn the_files_are_the_layers_under_their_titles() {
    let empty = layer("application/vnd.oci.empty.v1+json", A, None);
    let rows = [
        (vec![layer(TEXT, A, Some("a/x.txt")), layer(TEXT, B, Some("b"))], Ok(vec![("a/x.txt", A), ("b", B)])),
        (vec![layer(TEXT, A, None)], Ok(vec![("input", A)])),
        (vec![empty.clone(), layer(TEXT, A, None)], Ok(vec![("input", A)])),
        (vec![empty], Err(Unfit::NoFiles)),
        (vec![], Err(Unfit::NoFiles)),
        (vec![layer(TEXT, A, Some("a")), layer(TEXT, B, None)], Err(Unfit::Untitled(B.to_owned()))),
    ];
    for (layers, expected) in rows {
        let found = files(&read(&manifest(&layers)), "input");
        let told =
            found.map(|files| files.into_iter().map(|FileLayer { path, layer }| (path, layer.digest.to_string())).collect::<Vec<_>>());
        let expected =
            expected.map(|files: Vec<(&str, &str)>| files.into_iter().map(|(path, digest)| (path.to_owned(), digest.to_owned())).collect());
        assert_eq!(told, expected, "{layers:?}");
    }
}

#[test]
fn an_index_leads_to_its_image_for_wasm_or_its_only_one() {
    let image = |digest: &str, architecture: Option<&str>| {
        let mut image = json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 3 });
        if let Some(architecture) = architecture {
            image["platform"] = json!({ "os": "wasip1", "architecture": architecture });
        }
        image
    };
    let rows = [
        (vec![image(A, Some("amd64")), image(B, Some("wasm"))], Ok(B)),
        (vec![image(A, Some("amd64"))], Ok(A)),
        (vec![image(A, None)], Ok(A)),
        (vec![image(A, None), image(B, Some("unknown"))], Ok(A)),
        (vec![image(A, Some("wasm")), image(B, Some("wasm"))], Err(Unfit::Ambiguous { images: 2, wasm: 2 })),
        (vec![image(A, Some("amd64")), image(B, Some("arm64"))], Err(Unfit::Ambiguous { images: 2, wasm: 0 })),
        (vec![], Err(Unfit::Ambiguous { images: 0, wasm: 0 })),
    ];
    for (images, expected) in rows {
        let Document::Index(index) = parse(json!({ "schemaVersion": 2, "manifests": images }).to_string().as_bytes()).expect("it is one")
        else {
            panic!("no manifest: {images:?}")
        };
        assert_eq!(choose(&index).map(|digest| digest.to_string()), expected.map(str::to_owned), "{images:?}");
    }
}

#[test]
fn what_is_no_manifest_is_none() {
    let mut both = manifest(&[]);
    both["manifests"] = json!([]);
    for text in ["", "{", "[]", "{}", r#"{"schemaVersion": 1, "fsLayers": []}"#, r#"{"layers": 5}"#, &both.to_string()] {
        assert!(matches!(parse(text.as_bytes()), Err(Unfit::NoManifest(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_layers_are_told_apart(kinds in prop::collection::vec(("[a-z/+;.]{0,20}", prop::option::of(".{0,12}")), 0..5)) {
        let layers: Vec<_> = kinds.iter().map(|(kind, title)| layer(kind, A, title.as_deref())).collect();
        let manifest = read(&manifest(&layers));
        let _ = module(&manifest);
        if let Ok(files) = files(&manifest, "input") {
            prop_assert!(!files.is_empty() && files.len() <= layers.len());
        }
    }
}
