//! Turns are taken, medians compared, and a broken promise shows.

use std::cell::RefCell;

use super::*;

/// A way that leaves its letter and gives one figure after the other.
fn way<const N: usize>(turns: &RefCell<String>, letter: char, values: [f64; N]) -> Way<'_> {
    let mut values = values.into_iter();
    Box::new(move || {
        turns.borrow_mut().push(letter);
        Ok(values.next().expect("it gives as many as it is asked for"))
    })
}

#[test]
fn ways_take_turns_and_the_first_of_each_does_not_count() {
    let turns = RefCell::new(String::new());
    let mut row = Row {
        name: "run",
        unit: Unit::Milliseconds,
        ours: way(&turns, 'o', [99.0, 3.0, 1.0, 2.0]),
        bare: Some(way(&turns, 'b', [1.0, 30.0, 20.0, 10.0])),
        rounds: 3,
        promise: Promise::Ratio(1.05),
    };
    let expected =
        Figure { name: "run", unit: Unit::Milliseconds, ours: 2.0, bare: Some(20.0), ratio: Some(0.1), promise: Promise::Ratio(1.05) };
    assert_eq!(measure(&mut row).expect("both work"), expected);
    assert_eq!(turns.take(), "obobboob");
}

#[test]
fn of_memory_the_largest_counts() {
    let turns = RefCell::new(String::new());
    let ours = way(&turns, 'o', [99.0, 3.0, 7.0, 2.0]);
    let mut row = Row { name: "fetch", unit: Unit::Mebibytes, ours, bare: None, rounds: 3, promise: Promise::AtMost(7.0) };
    let figure = measure(&mut row).expect("it works");
    assert_eq!((figure.ours, figure.bare, figure.ratio, figure.holds()), (7.0, None, None, true));
}

#[test]
fn the_table_says_which_promise_is_broken() {
    let figure =
        |ours, promise| Figure { name: "run", unit: Unit::Milliseconds, ours, bare: Some(100.0), ratio: Some(ours / 100.0), promise };
    let rows = [
        (figure(105.0, Promise::Ratio(1.05)), "| run | 105.00 ms | 100.00 ms | 1.050 | ratio ≤ 1.05 | kept |"),
        (figure(106.0, Promise::Ratio(1.05)), "| run | 106.00 ms | 100.00 ms | 1.060 | ratio ≤ 1.05 | BROKEN |"),
        (figure(1.0, Promise::AtMost(1.0)), "| run | 1.00 ms | 100.00 ms | 0.010 | ≤ 1.00 ms | kept |"),
        (figure(1.1, Promise::AtMost(1.0)), "| run | 1.10 ms | 100.00 ms | 0.011 | ≤ 1.00 ms | BROKEN |"),
        (figure(1.0, Promise::None), "| run | 1.00 ms | 100.00 ms | 0.010 |  |  |"),
    ];
    for (figure, expected) in rows {
        assert_eq!(table_row(&figure), expected);
    }
}
