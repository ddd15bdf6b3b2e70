//! Which documents of a file are WasmJobs.

use super::*;

const JOB: &str =
    "apiVersion: wasmjob.dev/v1alpha1\nkind: WasmJob\nmetadata: {name: a}\nspec: {module: {http: {url: 'https://h/m.wasm'}}}\n";
const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n";

/// Each document's number, name, and whether it is a job, refused, or of another kind.
fn check(text: &str, expected: &[(usize, Option<&str>, &str)]) {
    let documents = documents(text, "f").expect("the row is YAML");
    let kind = |content: &Content| match content {
        Content::Job(_) => "job".to_owned(),
        Content::Refused(_) => "refused".to_owned(),
        Content::Other(kind) => kind.clone(),
    };
    let found: Vec<_> = documents.iter().map(|document| (document.number, document.name.as_deref(), kind(&document.content))).collect();
    let expected: Vec<_> = expected.iter().map(|(number, name, kind)| (*number, *name, (*kind).to_owned())).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn every_document_of_a_file_is_looked_at() {
    check("", &[]);
    check(JOB, &[(1, Some("a"), "job")]);
    check(&format!("---\n{JOB}---\n---\n{SERVICE}---\n{JOB}"), &[(1, Some("a"), "job"), (2, Some("s"), "Service"), (3, Some("a"), "job")]);
}

#[test]
fn what_does_not_belong_to_another_kind_is_taken_for_a_job() {
    check("kind: WasmJop\napiVersion: wasmjob.dev/v1alpha1\nmetadata: {name: a}", &[(1, Some("a"), "refused")]);
    check("kind: WasmJob\napiVersion: wasmjob.dev/v9\nmetadata: {generateName: a-}", &[(1, Some("a-"), "refused")]);
    check("hello", &[(1, None, "refused")]);
    check("kind: WasmJob", &[(1, None, "refused")]);
}

#[test]
fn running_takes_exactly_one_job() {
    let refusal = |text: &str| only_job(text, "f.yaml").expect_err(text).to_string();
    assert_eq!(only_job(&format!("{SERVICE}---\n{JOB}"), "f.yaml").expect("one of the two is a job").number, 2);
    assert_eq!(refusal(SERVICE), "f.yaml holds no WasmJob");
    let two = format!("{JOB}---\n{JOB}");
    assert_eq!(refusal(&two), "f.yaml holds 2 WasmJobs (a, a): run them one by one, each from a file of its own");
    assert!(refusal("a: [").starts_with("f.yaml: line "), "{}", refusal("a: ["));
}
