//! The crate graph: who may depend on whom. What lies in a crate's whole tree is asked of `cargo tree` for that crate alone,
//! because the features of the other members would otherwise count as its own.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{Finding, Member};
use crate::config;

/// `member`, if it exists, has none of `crates` in its normal dependency tree.
struct Apart {
    member: &'static str,
    crates: &'static [&'static str],
    why: &'static str,
}

const APART: [Apart; 4] = [
    Apart {
        member: "crds",
        crates: &["tokio", "mio", "hyper", "reqwest", "rustls", "kube-client", "wasmtime", "aws-config"],
        why: "the contract performs no I/O",
    },
    Apart {
        member: "operator",
        crates: &["wasmtime", "wasmtime-wasi", "runner", "node-agent"],
        why: "the operator runs nothing and meets the agent only at the API server",
    },
    Apart { member: "node-agent", crates: &["operator"], why: "the agent meets the operator only at the API server" },
    Apart { member: "runner", crates: &["kube-client"], why: "the runner knows no Kubernetes" },
];

/// Only these members may name the crate in their manifest, for any use.
struct Reserved {
    name: &'static str,
    members: &'static [&'static str],
    why: &'static str,
}

const RESERVED: [Reserved; 4] = [
    Reserved { name: "wasmtime", members: &["runner"], why: "one crate touches the guest's runtime" },
    Reserved { name: "wasmtime-wasi", members: &["runner"], why: "one crate touches the guest's runtime" },
    Reserved { name: "e2e", members: &[], why: "nothing depends on the tests" },
    Reserved { name: "xtask", members: &[], why: "nothing needs the build tool to compile" },
];

pub(super) fn findings(members: &[Member]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for member in members {
        findings.extend(reserved(member));
        for rule in APART.iter().filter(|rule| rule.member == member.name) {
            findings.extend(apart(rule, &tree(rule.member)?));
        }
    }
    Ok(findings)
}

fn reserved(member: &Member) -> Vec<Finding> {
    let names = |rule: &&Reserved| member.dependencies.iter().any(|name| name == rule.name);
    let broken = RESERVED.iter().filter(names).filter(|rule| !rule.members.contains(&member.name.as_str()));
    broken.map(|rule| format!("{}/Cargo.toml depends on {}: {}", member.name, rule.name, rule.why)).collect()
}

fn apart(rule: &Apart, tree: &BTreeSet<String>) -> Vec<Finding> {
    let found = rule.crates.iter().filter(|name| tree.contains(**name));
    found.map(|name| format!("{} reaches {name} (see `cargo tree -p {0} -i {name}`): {}", rule.member, rule.why)).collect()
}

/// Names of all crates that the member's normal dependencies reach.
fn tree(member: &str) -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new(config::cargo())
        .args(["tree", "--locked", "--package", member, "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(config::root())
        .output()
        .context("failed to start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree of {member} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(crates_in(&String::from_utf8_lossy(&output.stdout)))
}

fn crates_in(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_crate_deep_in_the_tree_is_found() {
        let tree = crates_in("crds v0.1.0 (/somewhere/crds)\nserde v1.0.0\ntokio v1.54.0 (*)\n");
        let findings = apart(&APART[0], &tree);
        assert_eq!(findings, ["crds reaches tokio (see `cargo tree -p crds -i tokio`): the contract performs no I/O"]);
        assert_eq!(apart(&APART[0], &crates_in("crds v0.1.0\nserde v1.0.0\n")), Vec::<String>::new());
    }

    #[test]
    fn reserved_crates_are_for_their_members_only() {
        let member = |name: &str, dependencies: &[&str]| Member {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
            ..Member::default()
        };
        assert_eq!(reserved(&member("runner", &["wasmtime", "crds"])), Vec::<String>::new());
        assert_eq!(
            reserved(&member("cli", &["wasmtime", "e2e"])),
            [
                "cli/Cargo.toml depends on wasmtime: one crate touches the guest's runtime",
                "cli/Cargo.toml depends on e2e: nothing depends on the tests",
            ]
        );
    }

    #[test]
    fn cargo_tree_is_read_for_one_member() {
        let tree = tree("crds").expect("cargo tree runs");
        assert!(tree.contains("crds") && tree.contains("serde"), "{tree:?}");
    }
}
