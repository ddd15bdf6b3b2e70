//! A schema's complaint as a sentence with a remedy.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use super::Violation;

/// How similar an unknown field's name must be to a known one to be taken for it (0 to 1).
const SIMILAR: f64 = 0.75;

/// Whether the API server, after this error, asks no CEL rules (`hasBlockingErr` there).
pub(super) fn blocks_rules(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::AdditionalProperties { .. } | Kind::Pattern { .. } | Kind::Minimum { .. } | Kind::Maximum { .. } | Kind::MinLength { .. }
    )
}

/// The violations in an error of the schema; several where it names several unknown fields.
pub(super) fn of_schema(error: &ValidationError<'_>, schema: &Value) -> Vec<Violation> {
    let pointer = error.instance_path().to_string();
    let path = path(&pointer);
    let one = |field: String, message: String| vec![Violation { field, message }];
    let value = error.instance().as_ref();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| Violation { field: join(&path, name), message: unknown_field(name, &path, schema, &pointer) })
            .collect(),
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            one(join(&path, name), "is required".to_owned())
        }
        Kind::Type { kind } => one(path, format!("must be {}, but is {}", types(kind), shown(value))),
        Kind::MaxLength { limit } => {
            let length = value.as_str().map_or(0, |text| text.chars().count());
            one(path, format!("must have at most {limit} characters, but has {length}"))
        }
        Kind::MinLength { limit } => one(path, format!("must have at least {limit} characters")),
        Kind::MaxItems { limit } => one(path, format!("must have at most {limit} items, but has {}", value.as_array().map_or(0, Vec::len))),
        Kind::Minimum { limit } => one(path, format!("must be at least {limit}, but is {}", shown(value))),
        Kind::Maximum { limit } => one(path, format!("must be at most {limit}, but is {}", shown(value))),
        Kind::Pattern { pattern } if pattern == crate::quantity::PATTERN => {
            one(path, format!("is {}: write a number with at most one suffix, such as 64Mi, 1.5G or 500m, without spaces", shown(value)))
        }
        Kind::Enum { options } => one(path, format!("is {}: write {}", shown(value), choices(options))),
        _ => one(path, error.to_string()),
    }
}

/// `Attempt or Flat`.
fn choices(options: &Value) -> String {
    let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.join(" or ")
}

fn unknown_field(name: &str, path: &str, schema: &Value, pointer: &str) -> String {
    let known = properties(at(schema, pointer));
    let similar = known
        .iter()
        .map(|field| (strsim::jaro_winkler(&field.to_lowercase(), &name.to_lowercase()), *field))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut elsewhere = Vec::new();
    homes(&schema["properties"]["spec"], "spec", name, &mut elsewhere);
    match (similar, elsewhere.as_slice()) {
        (Some((similarity, field)), _) if similarity > 0.9 => format!("is an unknown field: did you mean {field}?"),
        (_, [home]) if home != path => format!("is an unknown field here: it belongs under {home}"),
        (Some((_, field)), _) => format!("is an unknown field: did you mean {field}?"),
        _ if known.is_empty() => "is an unknown field: there is none to set here, write {}".to_owned(),
        _ => format!("is an unknown field: known here are {}", known.join(", ")),
    }
}

/// Paths of the objects in the spec that have a field of this name.
fn homes(schema: &Value, path: &str, name: &str, found: &mut Vec<String>) {
    for (field, below) in schema["properties"].as_object().into_iter().flatten() {
        if field == name {
            found.push(path.to_owned());
        }
        homes(below, &join(path, field), name, found);
        homes(&below["items"], &format!("{}[]", join(path, field)), name, found);
    }
}

fn properties(schema: &Value) -> Vec<&str> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// The schema of the value at a JSON pointer.
fn at<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    segments(pointer).fold(schema, |schema, segment| match schema.get("items") {
        Some(items) => items,
        None => &schema["properties"][segment.as_str()],
    })
}

/// A JSON pointer (`/spec/inputs/0/name`) as Kubernetes writes paths (`spec.inputs[0].name`).
fn path(pointer: &str) -> String {
    segments(pointer).fold(String::new(), |path, segment| match segment.parse::<usize>() {
        Ok(position) => format!("{path}[{position}]"),
        Err(_) => join(&path, &segment),
    })
}

fn segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn types(kind: &TypeKind) -> String {
    let name = |json: &str| match json {
        "object" => "an object",
        "array" => "a list",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "string" => "a text (quote it where YAML would read a number or a boolean)",
        _ => "null",
    };
    match kind {
        TypeKind::Single(json) => name(&json.to_string()).to_owned(),
        TypeKind::Multiple(_) => "an integer or a text".to_owned(),
    }
}

/// A value in a message: its kind, and itself where it is short.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => format!("the boolean {yes}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {:?}", crate::text::head(text, 80)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
