use super::{Manifest, ManifestFile};
use crate::store::digest_of;

#[test]
fn a_manifest_is_the_same_bytes_whatever_the_order_of_its_files() {
    let file = |path: &str| ManifestFile { digest: digest_of(path.as_bytes()), path: path.to_owned(), size_bytes: path.len() as u64 };
    let one = Manifest::new(vec![file("b"), file("a/é\"")]);
    assert_eq!(one, Manifest::new(vec![file("a/é\""), file("b")]));
    assert_eq!(one.size_bytes(), 6);
    assert_eq!(one.digest(), digest_of(&one.to_json()));
    assert_eq!(
        String::from_utf8(Manifest::new(vec![file("b"), file("a/é\"")]).to_json()).unwrap(),
        format!(
            r#"{{"files":[{{"digest":"{}","path":"a/é\"","sizeBytes":5}},{{"digest":"{}","path":"b","sizeBytes":1}}],"version":1}}"#,
            digest_of("a/é\"".as_bytes()),
            digest_of(b"b")
        )
    );
    assert_eq!(serde_json::from_slice::<Manifest>(&one.to_json()).unwrap(), one);
}

#[test]
fn an_output_without_files_has_a_manifest_too() {
    assert_eq!(Manifest::new(Vec::new()).to_json(), br#"{"files":[],"version":1}"#);
}
