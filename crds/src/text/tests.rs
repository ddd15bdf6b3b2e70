use super::{head, tail};

#[test]
fn a_head_is_bounded_and_harmless() {
    let rows = [
        ("plain", 16, "plain"),
        ("two\nlines\t", 32, "two\\nlines\\t"),
        ("\u{1b}[31mred", 32, "\\u{1b}[31mred"),
        ("\u{202e}txt.exe", 32, "\\u{202e}txt.exe"),
        ("äöü", 6, "äöü"),
        ("äöüß", 6, "ä…"),
        ("abcdefgh", 6, "abc…"),
        ("", 0, ""),
    ];
    for (text, max, expected) in rows {
        assert_eq!(head(text, max), expected, "{text:?}");
        assert!(head(text, max).len() <= max, "{text:?}");
    }
}

#[test]
fn a_tail_keeps_its_end_and_its_lines() {
    let rows = [
        ("a\n\tb\n", 16, "a\n\tb\n", false),
        ("abcdef", 3, "def", true),
        ("aäö", 4, "äö", true),
        ("aäö", 3, "ö", true),
        ("x\u{1b}[0m", 9, "\\u{1b}[0m", true),
        ("x\u{1b}[0m", 8, "[0m", true),
        ("\r\n", 8, "\\r\n", false),
        ("\0", 8, "\\u{0}", false),
        ("\u{9b}1m", 16, "\\u{9b}1m", false),
    ];
    for (text, max, expected, cut) in rows {
        assert_eq!(tail(text, max), (expected.to_owned(), cut), "{text:?}");
    }
}
