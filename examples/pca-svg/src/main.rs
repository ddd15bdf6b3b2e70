//! Principal component analysis of points in a plane, drawn as an SVG picture.
//!
//! Reads a web request as a JSON event on stdin; its `body` is `x1,y1,x2,y2,…`. Writes the picture to stdout. A body that is
//! not that makes the program panic, and the run a trap.

mod axes;
mod picture;

use serde::Deserialize;

/// Greater numbers have no room for a picture's fractions. Not-a-number is not within it either.
const LARGEST: f64 = 1e12;

#[derive(Deserialize)]
struct Event {
    body: String,
}

fn main() {
    let Event { body } = serde_json::from_reader(std::io::stdin().lock()).expect("stdin must be a JSON event with the text `body`");
    let points = points(&body);
    let axes = axes::principal(&points);
    println!("{}", picture::draw(&points, &axes));
}

/// Lines end or do not end with a newline, as the program that sent them likes it.
fn points(body: &str) -> Vec<[f64; 2]> {
    let numbers: Vec<f64> = body
        .split([',', '\n'])
        .map(str::trim)
        .filter(|number| !number.is_empty())
        .map(|number| number.parse().unwrap_or_else(|error| panic!("`body` has {number:?} where a number belongs: {error}")))
        .inspect(|number: &f64| assert!(number.abs() <= LARGEST, "`body` has {number}, more than {LARGEST} from 0"))
        .collect();
    let pairs = numbers.chunks_exact(2);
    assert!(pairs.remainder().is_empty(), "`body` must be x1,y1,x2,y2,…: {} numbers are no pairs", numbers.len());
    assert!(pairs.len() >= 2, "`body` must have at least two points, it has {}", pairs.len());
    pairs.map(|pair| [pair[0], pair[1]]).collect()
}
