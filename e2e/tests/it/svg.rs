//! What a picture of principal components must show.

use roxmltree::{Document, Node};

/// Well-formed, so many points, and two eigenvectors from one centre at a right angle.
pub(crate) fn shows(svg: &str, points: usize) {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    assert_eq!(root.descendants().filter(|node| node.has_tag_name((NAMESPACE, "circle"))).count(), points);
    let [red, green] = ["#FF0000", "#00FF00"].map(|colour| line(root, colour));
    assert_eq!(red[0], green[0], "both start at the centre");
    let [u, v] = [red, green].map(|[from, to]| [to[0] - from[0], to[1] - from[1]]);
    let [long, short] = [u, v].map(|v| v[0] * v[0] + v[1] * v[1]);
    assert!(long >= short && short > 0, "{red:?} {green:?}");
    // The ends are whole pixels: up to one off in each direction.
    let reach: i64 = [u, v].as_flattened().iter().map(|part| part.abs() + 1).sum();
    assert!((u[0] * v[0] + u[1] * v[1]).abs() <= reach, "no right angle: {red:?} {green:?}");
}

const NAMESPACE: &str = "http://www.w3.org/2000/svg";

/// The only line of a colour, from its first to its last point.
fn line(root: Node<'_, '_>, colour: &str) -> [[i64; 2]; 2] {
    let lines: Vec<_> = root.descendants().filter(|node| node.attribute("stroke") == Some(colour)).collect();
    let [line] = lines[..] else { panic!("{} lines of {colour}", lines.len()) };
    let text = line.attribute("points").expect("a polyline");
    let points: Vec<i64> = text.split([',', ' ']).filter(|number| !number.is_empty()).map(|number| number.parse().expect(text)).collect();
    let [x1, y1, .., x2, y2] = points[..] else { panic!("{points:?}") };
    [[x1, y1], [x2, y2]]
}
