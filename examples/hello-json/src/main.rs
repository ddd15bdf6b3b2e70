//! A JSON object on stdin, a greeting on stdout. What is not such an object makes the program panic, and the run a trap.

use serde::Deserialize;

#[derive(Deserialize)]
struct Event {
    key1: String,
    key2: String,
}

fn main() {
    let Event { key1, key2 } =
        serde_json::from_reader(std::io::stdin().lock()).expect("stdin must be a JSON object with the texts `key1` and `key2`");
    println!("Hello! {key1}, {key2}");
}
