use serde_json::{Value, json};

use super::{Error, read, write};

fn one(text: &str) -> Value {
    let mut documents = read(text).expect("the row is YAML");
    assert_eq!(documents.len(), 1, "{text:?}");
    documents.remove(0)
}

/// As `kubectl label --local -o json` converts them.
#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let rows = [
        ("a: yes", json!(true)),
        ("a: on", json!(true)),
        ("a: NO", json!(false)),
        ("a: 'yes'", json!("yes")),
        ("a: 0777", json!(511)),
        ("a: 1_000", json!(1000)),
        ("a: 0x1F", json!(31)),
        ("a: 1.5", json!(1.5)),
        ("a: ~", json!(null)),
        ("a:", json!(null)),
        ("a: 64Mi", json!("64Mi")),
        ("a: 9223372036854775807", json!(i64::MAX)),
        ("{\"a\": \"json\"}", json!("json")),
        ("a: \"x\\0y\"", json!("x\0y")),
        ("a: |\n  two\n  lines\n", json!("two\nlines\n")),
        ("b: &b {x: 1}\na: {<<: *b, y: 2}", json!({ "x": 1, "y": 2 })),
    ];
    for (text, expected) in rows {
        assert_eq!(one(text)["a"], expected, "{text}");
    }
}

#[test]
fn a_stream_is_read_document_by_document() {
    assert_eq!(read("a: 1\n---\n\n---\n# nothing\n---\nb: 2\n").expect("a stream"), [json!({ "a": 1 }), json!({ "b": 2 })]);
    assert_eq!(read("").expect("no document"), Vec::<Value>::new());
}

#[test]
fn what_is_not_yaml_is_refused_with_line_and_column() {
    let rows = [
        ("a: 1\na: 2\n", 2, "duplicate"),
        ("a: [1, 2\nb: 3\n", 2, ""),
        ("a: \"x\n", 2, ""),
        ("a: 1\nb:\n\tc: 2\n", 3, "tab"),
        ("a: *nowhere\n", 1, "anchor"),
        ("a: .inf\n", 1, ""),
    ];
    for (text, at, words) in rows {
        let error = read(text).expect_err(text);
        let Error::Malformed { line, message, .. } = error else { unreachable!("{text:?} has a place: {error:?}") };
        let said_once = !message.contains("at line ");
        assert!(line == at && said_once && message.to_lowercase().contains(words), "{text:?}: line {line}: {message}");
    }
}

#[test]
fn bombs_are_refused() {
    let level = |level: usize| {
        let below = level.checked_sub(1).map_or("x".to_owned(), |below| format!("*a{below}"));
        format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "))
    };
    let bomb: String = (0..12).map(level).collect();
    assert!(read(&bomb).is_err(), "aliases without end");
    assert!(read(&"[".repeat(100_000)).is_err(), "nesting without end");
    assert!(matches!(read(&" ".repeat(4 << 20)), Err(Error::TooLarge { .. })));
}

#[test]
fn what_is_written_is_read_back() {
    let value =
        json!({ "a": ["yes", "0777", "1e3", "", "x: y", "- z", "#", "null", "~", "é\n", "\u{1}"], "b": { "c": 1, "d": true, "e": [] } });
    assert_eq!(one(&write(&value).expect("JSON has a YAML form")), value);
}
