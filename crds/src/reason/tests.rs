use std::collections::BTreeSet;

use schemars::JsonSchema;

use super::{Reason, RetryClass};

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reasons");

fn names() -> BTreeSet<String> {
    Reason::ALL.iter().map(|reason| reason.name().to_owned()).collect()
}

#[test]
fn every_reason_is_listed_once() {
    let schema = Reason::json_schema(&mut schemars::SchemaGenerator::default()).to_value();
    let documented = schema["oneOf"].as_array().into_iter().flatten().filter_map(|variant| variant["const"].as_str());
    let variants: BTreeSet<String> = documented.map(str::to_owned).collect();
    assert_eq!(names(), variants);
    assert_eq!(names().len(), Reason::ALL.len());
}

#[test]
fn a_reason_is_written_as_its_name() {
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).expect("a reason is a text"), reason.name());
        let pascal =
            reason.name().starts_with(|c: char| c.is_ascii_uppercase()) && reason.name().chars().all(|c| c.is_ascii_alphanumeric());
        assert!(pascal, "{reason} is not PascalCase");
    }
}

#[test]
fn every_reason_has_its_page_and_every_page_its_reason() {
    let pages = std::fs::read_dir(PAGES).expect("docs/reasons is there");
    let pages: BTreeSet<String> = pages
        .map(|page| page.expect("the folder is readable").file_name().into_string().expect("pages have plain names"))
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    assert_eq!(pages, names());
}

#[test]
fn every_page_says_what_it_means_what_is_seen_and_what_to_do() {
    let index = std::fs::read_to_string(format!("{PAGES}/README.md")).expect("the index is there");
    let rows: Vec<&str> = index.lines().filter(|line| line.starts_with("| [")).collect();
    assert_eq!(rows.len(), Reason::ALL.len());
    for (reason, row) in Reason::ALL.iter().zip(rows) {
        assert!(row.starts_with(&format!("| [{reason}]({reason}.md) |")), "the index is in the order of the list: {row}");
        let retried = matches!(reason.retry_class(), RetryClass::Budgeted | RetryClass::Lost | RetryClass::Free);
        assert_eq!(row.ends_with("| yes |"), retried, "{row}");
        let page = std::fs::read_to_string(format!("{PAGES}/{reason}.md")).expect("the page is there");
        assert!(page.starts_with(&format!("# {reason}\n")), "{reason}.md begins with its name");
        for heading in ["\n## What you see\n\n", "\n## What to do\n\n"] {
            assert!(page.contains(heading), "{reason}.md has no {heading:?}");
        }
        assert_eq!(page.contains("\nYes, "), retried, "{reason}.md on trying again");
    }
}
