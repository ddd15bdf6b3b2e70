use serde_json::{Value, json};

use super::{schema, wasm_jobs};
use crate::generated_files;
use crate::status::WasmJobStatus;

/// Every schema in the definition with its path.
fn walk<'a>(schema: &'a Value, path: &str, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), visit);
    }
}

/// The paths at which something is amiss.
fn amiss(wrong: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    let definition = wasm_jobs();
    let mut paths = Vec::new();
    walk(schema(&definition), "", &mut |path, schema| {
        if wrong(path, schema) {
            paths.push(path.to_owned());
        }
    });
    paths
}

#[test]
fn the_generated_files_equal_their_generator() {
    for (path, content) in generated_files() {
        let committed = std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).expect("the file is committed");
        assert!(committed == content, "{path} is not what its generator makes: run cargo xtask generate");
    }
}

#[test]
fn the_definition_is_small_enough_for_plain_kubectl_apply() {
    for (path, content) in generated_files() {
        assert!(content.len() < 256 * 1024, "{path} has {} bytes", content.len());
    }
}

#[test]
fn every_field_has_a_description() {
    let item_of_texts = |path: &str| path.ends_with("[]");
    assert_eq!(
        amiss(|path, schema| schema["description"].as_str().is_none_or(|text| text.len() < 10) && !item_of_texts(path)),
        Vec::<String>::new()
    );
}

#[test]
fn every_text_and_every_list_is_bounded() {
    let bounded = ["maxLength", "enum", "format"];
    assert_eq!(
        amiss(|_, schema| schema["type"] == "string" && bounded.iter().all(|bound| schema.get(bound).is_none())),
        Vec::<String>::new()
    );
    assert_eq!(amiss(|_, schema| schema["type"] == "array" && schema.get("maxItems").is_none()), Vec::<String>::new());
}

#[test]
fn only_what_kubernetes_knows_is_in_the_schema() {
    let formats = ["int32", "int64", "date-time"];
    assert_eq!(amiss(|_, schema| schema["format"].as_str().is_some_and(|format| !formats.contains(&format))), Vec::<String>::new());
    assert_eq!(amiss(|_, schema| schema["type"] == "number"), Vec::<String>::new(), "floats");
    for keyword in ["nullable", "title", "$ref", "anyOf", "oneOf", "allOf", "not", "const", "additionalProperties"] {
        assert_eq!(amiss(|_, schema| schema.get(keyword).is_some()), Vec::<String>::new(), "{keyword}");
    }
}

#[test]
fn lists_of_named_things_are_maps() {
    let maps = amiss(|_, schema| schema["x-kubernetes-list-type"] == "map");
    assert_eq!(maps, [".spec.env", ".spec.inputs", ".spec.outputs", ".status.conditions", ".status.results"]);
}

#[test]
fn selectable_fields_are_few_and_scalar() {
    let definition = wasm_jobs();
    let version = &definition["spec"]["versions"][0];
    let paths: Vec<&str> =
        version["selectableFields"].as_array().expect("there are some").iter().filter_map(|field| field["jsonPath"].as_str()).collect();
    assert!(paths.len() <= 8, "the API server takes no more than 8");
    for path in paths {
        let found = path.split('.').skip(1).fold(schema(&definition), |schema, name| &schema["properties"][name]);
        assert!(["string", "integer", "boolean"].iter().any(|scalar| found["type"] == *scalar), "{path}: {found}");
    }
}

#[test]
fn every_column_shows_a_field_that_exists() {
    let definition = wasm_jobs();
    let columns = definition["spec"]["versions"][0]["additionalPrinterColumns"].as_array().expect("there are some").clone();
    let names: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
    assert_eq!(names, ["Status", "Completions", "Exit", "Duration", "Age", "Module", "Reason"]);
    for column in columns.iter().filter(|column| column["name"] != "Age") {
        let path = column["jsonPath"].as_str().expect("a column has a path");
        let path = path.replace("[?(@.type==\"Finished\")]", "[0]");
        let found = path.split('.').skip(1).fold(schema(&definition), |schema, name| match name.strip_suffix("[0]") {
            Some(list) => &schema["properties"][list]["items"],
            None => &schema["properties"][name],
        });
        assert_eq!(found["type"], column["type"], "{path}");
    }
}

#[test]
fn a_new_job_says_that_it_is_pending() {
    let definition = wasm_jobs();
    let default = &schema(&definition)["properties"]["status"]["default"];
    let status: WasmJobStatus = serde_json::from_value(default.clone()).expect("the default is a status");
    assert_eq!(status.observed_generation, Some(-1));
    assert_eq!(&serde_json::to_value(&status).expect("a status is JSON"), default);
    let finished = json!({ "type": "Finished", "status": "False", "reason": "Pending" });
    for (field, value) in finished.as_object().expect("an object") {
        assert_eq!(&default["conditions"][0][field], value);
    }
    let valid = jsonschema::draft7::new(&super::strict(schema(&definition))["properties"]["status"]).expect("a schema");
    assert!(valid.is_valid(default));
}

/// kube-cel's estimate is coarse, takes a macro's variable for one out of scope and knows a tenth of the API server's budget of 10 million
/// for a rule. (The API server's own estimate is 3.4 million for the dearest and 17 of 100 million for all.)
#[test]
fn rules_are_cheap_and_bounded() {
    use kube::core::cel::{ScopeContext, WarningKind, analyze_rule, compile_schema};
    let definition = wasm_jobs();
    let mut rules = 0;
    walk(schema(&definition), "", &mut |path, schema| {
        let compiled = compile_schema(schema);
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let text = rule["rule"].as_str().expect("a rule is a text");
            assert!(rule["message"].as_str().is_some_and(|message| !message.contains('\n')), "{path}: {text} has no message of one line");
            let warnings = analyze_rule(text, &compiled, ScopeContext::CrdValidation);
            let unbounded = warnings.iter().any(|warning| warning.kind == WarningKind::MissingBounds);
            let dear = warnings.iter().any(|warning| warning.kind == WarningKind::CostExceeded && estimate(&warning.message) > 10_000_000);
            assert!(!unbounded && !dear, "{path}: {warnings:?}");
        }
        assert!(!compiled.has_errors(), "{path}: {:?}", compiled.compilation_errors());
    });
    assert!(rules > 40, "only {rules} rules were found");
}

/// The number in "estimated cost N exceeds …".
fn estimate(message: &str) -> u64 {
    message.split_whitespace().nth(2).and_then(|number| number.parse().ok()).expect("the warning has an estimate")
}
