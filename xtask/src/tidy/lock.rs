//! Cargo.lock: no C libraries for TLS, and one version of each crate that is heavy or crosses our interfaces. cargo-deny
//! checks more of this; these two must hold on every machine, so they need no tool.

use std::collections::BTreeMap;

use super::{Finding, SourceFile};

const BANNED: [&str; 6] = ["aws-lc-sys", "aws-lc-rs", "openssl-sys", "openssl", "native-tls", "serde_yml"];

const ONE_VERSION: [&str; 20] = [
    "aws-sdk-s3",
    "cid",
    "clap",
    "cranelift-codegen",
    "http",
    "hyper",
    "hyper-util",
    "k8s-openapi",
    "kube-core",
    "reqwest",
    "ring",
    "rustls",
    "schemars",
    "serde",
    "tokio",
    "url",
    "wasmparser",
    "wasmtime",
    "wasmtime-wasi",
    "webpki-roots",
];

pub(super) fn findings(files: &[SourceFile]) -> Vec<Finding> {
    let Some(lock) = files.iter().find(|file| file.path == "Cargo.lock") else {
        return vec!["Cargo.lock is missing; commit it".to_owned()];
    };
    let locked = locked(lock.text());
    let banned = BANNED.iter().filter(|name| locked.contains_key(**name));
    let mut findings: Vec<Finding> =
        banned.map(|name| format!("Cargo.lock holds {name}; find who brings it with `cargo tree -i {name}`")).collect();
    for (name, versions) in &locked {
        if ONE_VERSION.contains(name) && versions.len() > 1 {
            findings.push(format!("Cargo.lock holds {name} {}; keep one version", versions.join(" and ")));
        }
    }
    findings
}

/// Versions by crate name.
fn locked(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut locked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(value) = quoted(line, "name = ") {
            name = Some(value);
        } else if let (Some(name), Some(version)) = (name, quoted(line, "version = ")) {
            locked.entry(name).or_default().push(version);
        }
    }
    locked
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.trim().strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn banned_crates_and_second_versions_are_found() {
        let package = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n");
        let lock = [
            package("aws-lc-sys", "0.30.0"),
            package("syn", "2.0.0"),
            package("syn", "3.0.0"),
            package("tokio", "1.54.0"),
            package("tokio", "0.2.0"),
        ];
        assert_eq!(
            findings(&[file("Cargo.lock", &format!("version = 4\n\n{}", lock.concat()))]),
            [
                "Cargo.lock holds aws-lc-sys; find who brings it with `cargo tree -i aws-lc-sys`",
                "Cargo.lock holds tokio 1.54.0 and 0.2.0; keep one version",
            ]
        );
    }
}
