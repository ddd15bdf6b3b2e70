//! What a single file must look like: its header, its length, what it may not contain, and what belongs into one file only.

use super::{Finding, SourceFile};

/// Production lines of one Rust file; above this it holds two things.
const MAX_RUST_LINES: usize = 400;
/// ARCHITECTURE.md is read in one go.
const MAX_ARCHITECTURE_LINES: usize = 150;

/// Text that may stand nowhere: it works on one machine only.
const MACHINE: [&str; 7] = ["/root/", "/home/", "/Users/", "artifactory", "index.crates.io", "proxy.golang.org", "registry.npmjs.org"];

/// Rust text that may stand in one file only, and why.
const ONLY_IN: [(&str, &str, &str); 3] = [
    ("WasiCtxBuilder", "runner/src/sandbox/wasi.rs", "a guest's rights are granted in one place"),
    ("WasiCtx::builder", "runner/src/sandbox/wasi.rs", "a guest's rights are granted in one place"),
    ("role::enter_playing", "runner/tests/it/main.rs", "what plays an escaped guest is in no program that is shipped"),
];

/// This folder names what it looks for.
const RULES: &str = "xtask/src/tidy";

pub(super) fn findings(file: &SourceFile) -> Vec<Finding> {
    if file.path.starts_with(RULES) {
        return header(file).into_iter().collect();
    }
    let rules = [header, length, ignored_tests];
    let mut findings: Vec<Finding> = rules.iter().filter_map(|rule| rule(file)).collect();
    findings.extend(machine(file));
    findings.extend(only_in(file));
    findings
}

/// A sibling `tests.rs` needs none: the file it belongs to has said what is tested.
fn header(file: &SourceFile) -> Option<Finding> {
    (file.is_rust() && !file.path.ends_with("/tests.rs") && !file.text().starts_with("//!"))
        .then(|| format!("{}: open it with a //! line that says what it does and what it does not", file.path))
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.text().lines().count();
    let limit = match file.path.as_str() {
        "ARCHITECTURE.md" => MAX_ARCHITECTURE_LINES,
        _ if file.is_rust() && !is_test(&file.path) => MAX_RUST_LINES,
        _ => return None,
    };
    (lines > limit).then(|| format!("{}: {lines} lines, at most {limit}", file.path))
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn ignored_tests(file: &SourceFile) -> Option<Finding> {
    let ignores = |line: &str| line.starts_with("#[ignore") || (line.starts_with("#[cfg_attr") && line.contains("ignore"));
    let found = file.is_rust() && file.text().lines().map(str::trim).any(ignores);
    found.then(|| format!("{}: an ignored test keeps no promise; run it or delete it", file.path))
}

/// Tests may make up a home; what is shipped may not name one.
fn machine(file: &SourceFile) -> Vec<Finding> {
    if is_test(&file.path) {
        return Vec::new();
    }
    let holds = |needle: &&&str| file.bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    let found = MACHINE.iter().filter(holds);
    found.map(|needle| format!("{}: names {needle:?}, which other machines lack", file.path)).collect()
}

fn only_in(file: &SourceFile) -> Vec<Finding> {
    let misplaced = |rule: &&(&str, &str, &str)| file.is_rust() && file.path != rule.1 && file.text().contains(rule.0);
    let found = ONLY_IN.iter().filter(misplaced);
    found.map(|(text, home, why)| format!("{}: {text} belongs into {home}: {why}", file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn each_rule_about_one_file_can_fail() {
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_RUST_LINES));
        let pages = "\n".repeat(MAX_ARCHITECTURE_LINES + 1);
        let rows: [(&str, &str, &[&str]); 10] = [
            ("runner/src/store.rs", "//! Keeps blobs.\n", &[]),
            (
                "runner/src/store.rs",
                "use std::fs;\n",
                &["runner/src/store.rs: open it with a //! line that says what it does and what it does not"],
            ),
            ("runner/src/store.rs", &long, &["runner/src/store.rs: 401 lines, at most 400"]),
            ("runner/src/store/tests.rs", &long, &[]),
            ("cli/src/config/tests.rs", "set(\"HOME\", \"/home/me\");\n", &[]),
            ("ARCHITECTURE.md", &pages, &["ARCHITECTURE.md: 151 lines, at most 150"]),
            (
                "e2e/tests/it/main.rs",
                "//! Tests.\n#[test]\n#[ignore = \"slow\"]\n",
                &["e2e/tests/it/main.rs: an ignored test keeps no promise; run it or delete it"],
            ),
            ("README.md", "run /home/me/wasmjob", &["README.md: names \"/home/\", which other machines lack"]),
            ("examples/a/a.wasm", "\0asm/root/x", &["examples/a/a.wasm: names \"/root/\", which other machines lack"]),
            (
                "runner/src/worker.rs",
                "//! Runs.\nlet ctx = WasiCtxBuilder::new();\n",
                &[
                    "runner/src/worker.rs: WasiCtxBuilder belongs into runner/src/sandbox/wasi.rs: a guest's rights are granted in one place",
                ],
            ),
        ];
        for (path, text, expected) in rows {
            assert_eq!(findings(&file(path, text)), expected, "{path}");
        }
    }
}
