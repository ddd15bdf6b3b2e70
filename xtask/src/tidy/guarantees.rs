//! docs/guarantees.md: each promise names the tests that keep it, as `path/to/file.rs::name_of_the_test`, and they exist.

use super::{Finding, SourceFile};

const PAGE: &str = "docs/guarantees.md";

pub(super) fn findings(files: &[SourceFile]) -> Vec<Finding> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![format!("{PAGE} is missing")];
    };
    let mut findings = Vec::new();
    for row in page.text().lines().filter_map(promise) {
        let tests: Vec<&str> = row.tests.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            findings.push(format!("{PAGE}: {:?} names no test; write it as `path/to/file.rs::name`", row.promise));
        }
        let missing = tests.iter().filter(|test| !exists(test, files));
        findings.extend(missing.map(|test| format!("{PAGE}: {:?} names {test}, which is no test", row.promise)));
    }
    findings
}

struct Row<'a> {
    promise: &'a str,
    tests: &'a str,
}

/// A table row `| promise | tests |` below the head.
fn promise(line: &str) -> Option<Row<'_>> {
    let cells: Vec<&str> = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let (promise, tests) = (*cells.first()?, *cells.last()?);
    let head = promise == "Promise" || promise.starts_with("---");
    (!head).then_some(Row { promise, tests })
}

fn exists(test: &str, files: &[SourceFile]) -> bool {
    let Some((path, name)) = test.split_once("::") else { return false };
    files.iter().filter(|file| file.path == path).any(|file| has_test(file.text(), name))
}

/// Whether the text has a function of that name below a test attribute.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declares = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let attributes = |end: usize| lines[..end].iter().rev().take_while(|line| line.starts_with("#["));
    (0..lines.len()).any(|at| declares(lines[at]) && attributes(at).into_iter().any(|line| line.contains("test")))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn a_promise_needs_a_test_that_exists() {
        let page = "\
| Promise | Kept by |
|---|---|
| Bytes are verified. | `runner/tests/it/fetch.rs::a_wrong_digest_is_refused` |
| Nothing is kept. | |
| It ends. | `runner/tests/it/fetch.rs::not_a_test`, `runner/tests/it/gone.rs::x` |
";
        let tests = "//! Tests.\n#[tokio::test]\nasync fn a_wrong_digest_is_refused() {}\n\nfn not_a_test() {}\n";
        let findings = findings(&[file(PAGE, page), file("runner/tests/it/fetch.rs", tests)]);
        assert_eq!(
            findings,
            [
                "docs/guarantees.md: \"Nothing is kept.\" names no test; write it as `path/to/file.rs::name`",
                "docs/guarantees.md: \"It ends.\" names runner/tests/it/fetch.rs::not_a_test, which is no test",
                "docs/guarantees.md: \"It ends.\" names runner/tests/it/gone.rs::x, which is no test",
            ]
        );
    }

    #[test]
    fn a_missing_page_is_a_finding() {
        assert_eq!(findings(&[]), ["docs/guarantees.md is missing"]);
    }
}
