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
    let [long, short] = [u, v].map(|v| v[0].hypot(v[1]));
    assert!(long >= short && short > 0.0, "{red:?} {green:?}");
    // The ends are whole pixels: a pixel off at the end of each.
    let dot = u[0] * v[0] + u[1] * v[1];
    assert!(dot.abs() <= 2.0 * (long + short), "no right angle: {red:?} {green:?}");
}

const NAMESPACE: &str = "http://www.w3.org/2000/svg";

/// The only line of a colour, from its first to its last point.
fn line(root: Node<'_, '_>, colour: &str) -> [[f64; 2]; 2] {
    let lines: Vec<_> = root.descendants().filter(|node| node.attribute("stroke") == Some(colour)).collect();
    let [line] = lines[..] else { panic!("{} lines of {colour}", lines.len()) };
    let points: Vec<f64> =
        line.attribute("points").expect("a polyline").split([',', ' ']).filter_map(|number| number.parse().ok()).collect();
    let [x1, y1, .., x2, y2] = points[..] else { panic!("{points:?}") };
    [[x1, y1], [x2, y2]]
}
