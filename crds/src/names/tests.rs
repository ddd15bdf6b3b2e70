use super::node_label;

#[test]
fn every_node_has_a_label_of_its_own() {
    let long = |last: char| "ip-10-0-0-1.".repeat(20) + &last.to_string();
    let rows = [
        ("node-1".to_owned(), "node-1".to_owned()),
        ("n".repeat(63), "n".repeat(63)),
        ("n".repeat(64), "n".repeat(46) + "-ce068a195ab380a8"),
        (long('a'), "ip-10-0-0-1.ip-10-0-0-1.ip-10-0-0-1.ip-10-0-0--".to_owned()),
        (long('b'), "ip-10-0-0-1.ip-10-0-0-1.ip-10-0-0-1.ip-10-0-0--".to_owned()),
    ];
    for (node, beginning) in &rows {
        let label = node_label(node);
        let is_bounded = label.len() <= 63 && label.ends_with(|last: char| last.is_ascii_alphanumeric());
        assert!(is_bounded && label.starts_with(beginning), "{node}: {label}");
    }
    assert_ne!(node_label(&rows[3].0), node_label(&rows[4].0));
}
