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
    assert!(says("Client Version: v1.36.3\nKustomize Version: v5.8.1\n", "v1.36.3"));
    assert!(says("etcd Version: 3.6.8\nGit SHA: Not provided\n", "v3.6.8"));
    assert!(!says("0.38.0-rc1\n", "v0.38.0"));
    assert!(!says("10.38.0", "v0.38.0"));
}

#[test]
fn an_unknown_component_is_refused_before_anything_is_built() {
    let error = components(&["nats".to_owned()]).expect_err("there is none");
    let known = "minio, kubo, registry, etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl";
    assert_eq!(error.to_string(), format!("no component \"nats\": there are {known}"));
}

#[test]
fn a_program_has_the_name_that_go_gives_it() {
    let rows = [
        ("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/minio/minio", "minio"),
        ("a.example/x/v", "v"),
        ("a.example/x/version2", "version2"),
    ];
    for (package, name) in rows {
        assert_eq!(executable(package), name);
    }
}

#[test]
fn programs_of_one_folder_can_be_built_in_one_go() {
    for one in &COMPONENTS {
        for other in COMPONENTS.iter().filter(|other| other.folder == one.folder) {
            assert_eq!((one.module, one.ldflags), (other.module, other.ldflags), "{} and {}", one.name, other.name);
            assert_eq!(one.name == other.name, executable(one.package) == executable(other.package), "{} and {}", one.name, other.name);
        }
    }
}

#[test]
fn a_program_is_told_its_version() {
    let told = with_version("-X a.version={version} -X a.major={major} -X a.minor={minor}", "v1.36.3");
    assert_eq!(told, "-X a.version=v1.36.3 -X a.major=1 -X a.minor=36");
}

#[test]
fn staging_modules_have_the_version_of_their_kubernetes() {
    let kubernetes = COMPONENTS.iter().find(|component| component.folder == "kubernetes").expect("there is one");
    let staging = pinned_version(kubernetes).expect("go.mod names it").replacen("v1.", "v0.", 1);
    let go_mod = fs::read_to_string(source(kubernetes).join("go.mod")).expect("read");
    let replaced: Vec<&str> = go_mod.lines().filter(|line| line.contains(" => ")).collect();
    assert!(replaced.len() > 30, "{replaced:?}");
    for line in replaced {
        assert!(line.ends_with(&format!(" {staging}")), "{line}");
    }
}
