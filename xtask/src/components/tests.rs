//! Versions are read from where they are pinned and compared as words.

use super::*;

#[test]
fn every_component_has_a_pinned_version_and_checksums() {
    for component in &COMPONENTS {
        let version = pinned_version(component).expect("go.mod names it");
        assert!(version.starts_with('v'), "{}: {version}", component.name);
        assert!(source(component).join("go.sum").is_file(), "{} has no go.sum", component.name);
    }
}

#[test]
fn go_mod_versions_are_those_of_the_module_itself() {
    let go_mod =
        "module m\n\nrequire a.example/x v1.2.3\n\nrequire (\n\ta.example/x/y v9.0.0 // indirect\n\tb.example/z v2.0.0 // indirect\n)\n";
    assert_eq!(version_in(go_mod, "a.example/x"), Some("v1.2.3".to_owned()));
    assert_eq!(version_in(go_mod, "b.example/z"), Some("v2.0.0".to_owned()));
    assert_eq!(version_in(go_mod, "b.example/missing"), None);
}

#[test]
fn an_installed_program_counts_only_with_the_same_version() {
    assert!(says("0.38.0\n", "v0.38.0"));
    assert!(says("Kubernetes v1.36.3\n", "v1.36.3"));
    assert!(!says("0.38.0-rc1\n", "v0.38.0"));
    assert!(!says("10.38.0", "v0.38.0"));
}

#[test]
fn an_unknown_component_is_refused_before_anything_is_built() {
    let error = components(&["nats".to_owned()]).expect_err("there is none");
    assert_eq!(error.to_string(), "no component \"nats\": there are minio, kubo");
}
