//! Names that say nothing about what a thing is. Kubernetes and WASI have a word for what we do.

use super::{Finding, SourceFile};

const BANNED: [&str; 13] =
    ["manager", "handler", "helper", "helpers", "util", "utils", "common", "processor", "wrapper", "impl", "data", "info", "misc"];

const KEYWORDS: [&str; 6] = ["struct ", "enum ", "trait ", "type ", "union ", "mod "];

pub(super) fn findings(file: &SourceFile) -> Vec<Finding> {
    let names = file.text().lines().filter_map(declared_name);
    let mut findings: Vec<Finding> = names.filter_map(|name| finding(&file.path, name)).collect();
    let stem = file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
    findings.extend(stem.and_then(|stem| finding(&file.path, stem)));
    findings
}

fn finding(path: &str, name: &str) -> Option<Finding> {
    let word = words(name).into_iter().find(|word| BANNED.contains(&word.as_str()))?;
    Some(format!("{path}: {name:?}: {word:?} says nothing; name what it is"))
}

/// The name that a line of rustfmt's form declares for a type or module. An associated type has the name that its trait gives it.
fn declared_name(line: &str) -> Option<&str> {
    if line.starts_with(' ') && line.trim_start().starts_with("type ") {
        return None;
    }
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches(|c| c != ' ').trim_start(),
        None => line,
    };
    let rest = KEYWORDS.iter().find_map(|keyword| line.strip_prefix(keyword))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The words of a `CamelCase` or `snake_case` name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            let word = words.last_mut().expect("it starts with one");
            word.extend(letter.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn empty_names_are_found_as_whole_words_of_types_modules_and_files() {
        let rows: [(&str, &str, &[&str]); 7] = [
            (
                "a/src/store.rs",
                "pub(crate) struct StoreManager;",
                &["a/src/store.rs: \"StoreManager\": \"manager\" says nothing; name what it is"],
            ),
            ("a/src/store.rs", "mod string_utils;", &["a/src/store.rs: \"string_utils\": \"utils\" says nothing; name what it is"]),
            ("a/src/common.rs", "", &["a/src/common.rs: \"common\": \"common\" says nothing; name what it is"]),
            ("a/src/store.rs", "pub enum Information { Uncommon }", &[]),
            ("a/src/store.rs", "// a manager of things", &[]),
            ("a/src/store.rs", "    type Data<'a> = Store;", &[]),
            ("a/src/store.rs", "impl Trait for Store {", &[]),
        ];
        for (path, text, expected) in rows {
            assert_eq!(findings(&file(path, text)), expected, "{text}");
        }
    }
}
