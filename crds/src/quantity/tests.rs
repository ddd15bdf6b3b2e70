use proptest::prelude::*;

use super::{ParseQuantityError, Quantity};

fn bytes(text: &str) -> Result<u64, ParseQuantityError> {
    Quantity(text.to_owned()).bytes("spec.resources.limits.memory")
}

fn millicores(text: &str) -> Result<u64, ParseQuantityError> {
    Quantity(text.to_owned()).millicores("spec.resources.requests.cpu")
}

/// Values as `resource.ParseQuantity(…).Value()` has them.
#[test]
fn quantities_come_out_in_bytes() {
    let rows = [
        ("0", 0),
        ("1", 1),
        ("+7", 7),
        ("1.", 1),
        (".5k", 500),
        ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29),
        ("128974848", 128_974_848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("123Mi", 123 << 20),
        ("1E3", 1000),
        ("1e+3", 1000),
        ("5000e-3", 5),
        ("1E", 1_000_000_000_000_000_000),
        ("7Ei", 7 << 60),
        ("100m", 1),
        ("1500m", 2),
        ("1n", 1),
        ("0.0001Ki", 1),
        ("1e-99", 1),
        ("0e99", 0),
        ("9223372036854775807", i64::MAX.unsigned_abs()),
    ];
    for (text, expected) in rows {
        assert_eq!(bytes(text), Ok(expected), "{text}");
    }
}

#[test]
fn quantities_come_out_in_thousandths() {
    let rows = [("1", 1000), ("500m", 500), ("0.5", 500), ("1.5", 1500), ("100u", 1), ("2k", 2_000_000), ("1e-3", 1), ("0", 0)];
    for (text, expected) in rows {
        assert_eq!(millicores(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_quantity_is_refused_with_its_field() {
    for text in [
        "", "+", ".", "1..2", "1.2.3", "Mi", "64 Mi", "64Mi ", " 1", "64MiB", "64mb", "64mi", "1K", "1e", "1e1.5", "1e100", "0x10", "٣",
        "1_000", "Infinity",
    ] {
        let malformed = ParseQuantityError::Malformed { field: "spec.resources.limits.memory".to_owned(), text: text.to_owned() };
        assert_eq!(bytes(text), Err(malformed), "{text:?}");
    }
    assert!(bytes(&"1".repeat(33)).is_err());
    for text in ["9223372036854775808", "8Ei", "10E", "1e19", "9999999999999999999999999999Ei", "1e99"] {
        assert!(matches!(bytes(text), Err(ParseQuantityError::TooLarge { .. })), "{text}");
    }
    assert!(matches!(bytes("-1"), Err(ParseQuantityError::Negative { .. })));
    assert_eq!(
        bytes("64 Mi").expect_err("a space").to_string(),
        "spec.resources.limits.memory: \"64 Mi\" is no quantity: write a number with at most one suffix, such as 64Mi, 1.5G or 500m, without spaces"
    );
}

#[test]
fn yaml_may_give_an_integer_or_a_text_and_nothing_else() {
    let read = |json: &str| serde_json::from_str::<Quantity>(json);
    assert_eq!(read("1").expect("an integer"), Quantity("1".to_owned()));
    assert_eq!(read("-1").expect("an integer"), Quantity("-1".to_owned()));
    assert_eq!(read("\"64Mi\"").expect("a text"), Quantity("64Mi".to_owned()));
    for json in ["0.5", "true", "null", "[]", "{}"] {
        assert!(read(json).is_err(), "{json}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = bytes(&text);
    }

    #[test]
    fn whole_numbers_with_a_suffix_are_exact(number in 0_u64..1 << 20, suffix in 0_usize..10) {
        let (name, factor) = [("", 1), ("k", 1000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40), ("e3", 1000)][suffix];
        prop_assert_eq!(bytes(&format!("{number}{name}")), Ok(number * factor));
    }

    #[test]
    fn fractions_are_rounded_up(whole in 0_u64..1000, thousandths in 0_u64..1000) {
        let text = format!("{whole}.{thousandths:03}");
        prop_assert_eq!(bytes(&text), Ok(whole + u64::from(thousandths > 0)));
        prop_assert_eq!(millicores(&text), Ok(whole * 1000 + thousandths));
    }

    /// The schema's pattern and the reader agree, but for what is too large.
    #[test]
    fn what_the_pattern_takes_is_read(text in "[+]?[0-9]{0,3}[.]?[0-9]{0,3}([numkMGTPEKi]{0,2}|[eE][-+]?[0-9]{0,3})") {
        let pattern = jsonschema::validator_for(&serde_json::json!({ "pattern": super::PATTERN })).expect("the pattern compiles");
        let taken = !matches!(bytes(&text), Err(ParseQuantityError::Malformed { .. }));
        prop_assert_eq!(pattern.is_valid(&serde_json::json!(text)), taken);
    }
}
