//! What the API server would say of a job, said without one.
//!
//! Four steps, as there: the object's metadata, the schema with unknown fields refused, duplicates in lists that are maps, the CEL rules. Like
//! there, the rules run only where the schema found types and sizes right. What it cannot know is what a cluster adds: quotas, admission
//! policies, names already taken.

use std::sync::LazyLock;

use kube::core::cel::ErrorKind;
use serde_json::Value;

use crate::job::WasmJob;
use crate::{GROUP, VERSION};

mod message;
mod metadata;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Path of the field: `spec.inputs[0].mountPath`. Empty where it is the document itself.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// As generated and committed, which a test compares with the types: making it anew would be most of the time that validation takes.
const SCHEMA: &str = include_str!("../schema/wasmjob_v1alpha1.json");

struct Contract {
    schema: Value,
    validator: jsonschema::Validator,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let schema = serde_json::from_str(SCHEMA).expect("the generated schema is JSON");
    let validator = jsonschema::draft7::new(&schema).expect("the generated schema is JSON Schema");
    Contract { schema, validator }
});

/// Everything that is wrong with a job as it was read from YAML or JSON; nothing where the API server would take it. A `status` in it is
/// ignored, as it is there.
pub fn validate(value: &Value) -> Vec<Violation> {
    let Some(fields) = value.as_object() else {
        return vec![violation("", "is no object: a job begins with apiVersion, kind, metadata and spec")];
    };
    let wrong_kind = wrong_kind(value);
    if !wrong_kind.is_empty() {
        return wrong_kind;
    }
    let mut job = fields.clone();
    job.remove("status");
    let mut job = Value::Object(job);
    prune_nulls(&mut job);
    let mut violations = metadata::violations(&job);
    let (of_schema, blocking) = schema_violations(&job);
    violations.extend(of_schema);
    duplicates(&CONTRACT.schema, &job, "", &mut violations);
    if !blocking {
        violations.extend(rule_violations(&job, violations.is_empty()));
    }
    violations.sort();
    violations.dedup();
    violations
}

/// The job, if the API server would take it.
///
/// # Errors
/// Everything that is wrong with it, as [`validate`].
pub fn parse(value: &Value) -> Result<WasmJob, Vec<Violation>> {
    let violations = validate(value);
    if !violations.is_empty() {
        return Err(violations);
    }
    let mut job = value.clone();
    if let Some(fields) = job.as_object_mut() {
        fields.remove("status");
    }
    prune_nulls(&mut job);
    serde_json::from_value(job).map_err(|error| vec![violation("", &error.to_string())])
}

fn violation(field: &str, message: &str) -> Violation {
    Violation { field: field.to_owned(), message: message.to_owned() }
}

fn wrong_kind(value: &Value) -> Vec<Violation> {
    let expected = [("apiVersion", format!("{GROUP}/{VERSION}")), ("kind", "WasmJob".to_owned())];
    expected
        .iter()
        .filter(|(field, expected)| value[*field].as_str() != Some(expected))
        .map(|(field, expected)| match &value[*field] {
            Value::Null => violation(field, &format!("is missing: write {field}: {expected}")),
            other => violation(field, &format!("is {}: write {field}: {expected}", message::shown(other))),
        })
        .collect()
}

/// A null in place of a field is as good as no field: the API server drops it where the schema knows neither null nor a default.
fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

/// What the schema says, and whether it keeps the rules from being asked.
fn schema_violations(job: &Value) -> (Vec<Violation>, bool) {
    let mut violations = Vec::new();
    let mut blocking = false;
    for error in CONTRACT.validator.iter_errors(job) {
        blocking |= message::blocks_rules(error.kind());
        violations.extend(message::of_schema(&error, &CONTRACT.schema));
    }
    (violations, blocking)
}

/// Items of a list that is a map (`x-kubernetes-list-type: map`) with the key of an earlier one.
fn duplicates(schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, field) in fields {
            if let Some(property) = properties.get(name) {
                duplicates(property, field, &message::join(path, name), found);
            }
        }
    }
    let Some(items) = value.as_array() else { return };
    for (position, item) in items.iter().enumerate() {
        duplicates(&schema["items"], item, &format!("{path}[{position}]"), found);
        for key in schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let earlier = items[..position].iter().position(|other| !item[key].is_null() && other[key] == item[key]);
            if let Some(earlier) = earlier {
                let message = format!("{} is also the {key} of {path}[{earlier}]: each must have its own", message::shown(&item[key]));
                found.push(violation(&format!("{path}[{position}].{key}"), &message));
            }
        }
    }
}

/// What the rules say. Where the schema has already complained, a rule that could not be evaluated only repeats it.
fn rule_violations(job: &Value, schema_holds: bool) -> Vec<Violation> {
    let job = with_generated_name(job.clone());
    let Err(errors) = kube::core::cel::Validator::new().validate(&CONTRACT.schema, &job, None) else { return Vec::new() };
    errors
        .into_vec()
        .into_iter()
        .filter(|error| schema_holds || error.kind == ErrorKind::ValidationFailure)
        .map(|error| Violation { field: error.field_path, message: error.message })
        .collect()
}

/// The API server generates a name, of five more characters, before it asks the rules.
fn with_generated_name(mut job: Value) -> Value {
    if let (None, Some(prefix)) = (job["metadata"].get("name"), job["metadata"]["generateName"].as_str()) {
        job["metadata"]["name"] = format!("{}xxxxx", prefix.chars().take(58).collect::<String>()).into();
    }
    job
}

#[cfg(test)]
mod tests;
