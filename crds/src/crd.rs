//! The CustomResourceDefinition as it is applied: what the derive makes of the types, put into the form that is checked in.
//!
//! The derive leaves `nullable` on every optional field (ours are absent, never null), titles, formats that Kubernetes has not, bounds as
//! floats and no default for status. All of it is settled here, once, for the YAML file, the editor's schema and offline validation alike.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use crate::job::{WasmJob, WhatToRun};
use crate::node::WasmNode;
use crate::rules;

/// The definition of `WasmJob`.
pub fn wasm_jobs() -> Value {
    let mut definition = definition(&WasmJob::crd());
    let schema = schema_mut(&mut definition);
    let what_to_run = what_to_run_fields();
    let rules = schema["x-kubernetes-validations"].as_array_mut().expect("the kind has a rule for its name");
    for field in what_to_run {
        let (rule, message) = rules::settled(&field);
        rules.push(json!({ "rule": rule, "message": message, "fieldPath": format!(".spec.{field}") }));
    }
    schema["properties"]["status"]["default"] = default_status();
    definition
}

/// The definition of `WasmNode`.
pub fn wasm_nodes() -> Value {
    let mut definition = definition(&WasmNode::crd());
    let properties = &mut schema_mut(&mut definition)["properties"];
    rules_to_patterns(&mut properties["status"]["properties"]["reports"]["additionalProperties"]);
    // A JSON patch that tests a path needs the path to be there (P4).
    properties["spec"]["default"] = json!({ "epoch": 0, "sequence": 0, "assignments": {}, "sealed": {} });
    properties["status"]["default"] = json!({ "agent": "", "sequence": 0, "reports": {} });
    for (part, defaults) in [
        ("spec", json!({ "epoch": 0, "sequence": 0, "assignments": {}, "sealed": {} })),
        ("status", json!({ "agent": "", "sequence": 0, "reports": {} })),
    ] {
        for (field, default) in defaults.as_object().expect("it is one") {
            properties[part]["properties"][field]["default"] = default.clone();
        }
    }
    definition
}

/// Agents write reports at every end of an attempt: what a rule says of a digest, a pattern says for less, and its cost does not multiply
/// by the entries of a map.
fn rules_to_patterns(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    if keywords.remove("x-kubernetes-validations").is_some() && keywords.get("type") == Some(&json!("string")) {
        keywords.insert("pattern".to_owned(), json!("^sha256:[0-9a-f]{64}$"));
    }
    children(keywords).for_each(rules_to_patterns);
}

fn definition(derived: &CustomResourceDefinition) -> Value {
    let mut definition = serde_json::to_value(derived).expect("a definition is made of texts, numbers and maps");
    remove_empty(&mut definition);
    tidy(schema_mut(&mut definition));
    definition
}

fn schema_mut(definition: &mut Value) -> &mut Value {
    definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").expect("the derive writes one version with a schema")
}

/// Names of the fields of `WhatToRun`, which lie flat in the spec.
fn what_to_run_fields() -> Vec<String> {
    let generator = schemars::generate::SchemaSettings::openapi3().into_generator();
    let schema = generator.into_root_schema_for::<WhatToRun>().to_value();
    schema["properties"].as_object().expect("the schema of a struct has properties").keys().cloned().collect()
}

/// The schema in a definition's only version.
pub fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// What a job's status says before anybody has written one, so that whoever waits for the job waits from its first moment on. The API
/// server fills it in when the object is read; nothing is stored.
fn default_status() -> Value {
    json!({
        "observedGeneration": -1,
        "conditions": [{
            "type": crate::condition::FINISHED,
            "status": "False",
            "reason": crate::reason::Reason::Pending.name(),
            "message": "not yet seen by the operator; if this stays, check that it runs",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}

/// Lists that hold nothing make tools that compare with the server's version see a difference for ever.
fn remove_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !matches!(field, Value::Array(items) if items.is_empty()) && !field.is_null());
            fields.values_mut().for_each(remove_empty);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_empty),
        _ => {}
    }
}

fn tidy(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    keywords.remove("nullable");
    keywords.remove("title");
    if keywords.get("format").is_some_and(|format| format.as_str().is_some_and(|format| format.starts_with("uint"))) {
        keywords.remove("format");
    }
    for bound in ["minimum", "maximum"] {
        if let Some(number) = keywords.get_mut(bound) {
            whole(number);
        }
    }
    if let Some(Value::String(description)) = keywords.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    children(keywords).for_each(tidy);
}

/// The schemas directly below.
fn children(keywords: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    keywords.iter_mut().flat_map(|(keyword, value)| match (keyword.as_str(), value) {
        ("properties", Value::Object(properties)) => properties.values_mut().collect(),
        ("items" | "additionalProperties", value @ Value::Object(_)) => vec![value],
        _ => Vec::new(),
    })
}

/// `1.0` as `1`: bounds of integers are integers.
fn whole(number: &mut Value) {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return };
    if float.fract() == 0.0 && float.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number that i64 holds, as just tested")]
        let integer = float as i64;
        *number = integer.into();
    }
}

/// The schema as plain JSON Schema that also refuses unknown fields. The `x-kubernetes-` keywords stay: whoever reads plain JSON Schema
/// skips them, [`crate::validate`] asks the rules in them.
pub fn strict(schema: &Value) -> Value {
    let mut strict = schema.clone();
    make_strict(&mut strict);
    close_empty(&mut strict);
    let properties = strict["properties"].as_object_mut().expect("the kind's schema has properties");
    properties.insert("apiVersion".to_owned(), json!({ "type": "string", "enum": [format!("{}/{}", crate::GROUP, crate::VERSION)] }));
    properties.insert("kind".to_owned(), json!({ "type": "string", "enum": ["WasmJob"] }));
    properties.insert("metadata".to_owned(), metadata_schema());
    strict["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    strict
}

fn make_strict(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    if keywords.contains_key("x-kubernetes-int-or-string") {
        keywords.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if keywords.contains_key("properties") {
        keywords.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    children(keywords).for_each(make_strict);
}

/// An object without fields takes none. In `metadata`, which is not ours, such an object takes any.
fn close_empty(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    let is_open =
        ["properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"].iter().any(|word| keywords.contains_key(*word));
    if keywords.get("type").is_some_and(|of| of == "object") && !is_open {
        keywords.insert("properties".to_owned(), json!({}));
        keywords.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    children(keywords).for_each(close_empty);
}

/// The schema of `metadata`, which every kind has.
fn metadata_schema() -> Value {
    let generator = schemars::generate::SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = generator.into_root_schema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
    let mut schema = schema.to_value();
    tidy(&mut schema);
    make_strict(&mut schema);
    schema.as_object_mut().expect("the schema of a struct is an object").remove("$schema");
    schema
}

#[cfg(test)]
mod tests;
