//! Turns are taken, medians compared, and a broken promise shows.

use std::cell::RefCell;

use super::*;

fn figure(ours: u64, bare: u64) -> Figure {
    Figure { name: "run", ours: Duration::from_millis(ours), bare: Duration::from_millis(bare), at_most: 1.05 }
}

#[test]
fn ways_take_turns_and_the_first_of_each_does_not_count() {
    let order = RefCell::new(String::new());
    let way = |letter: char, times: [u64; 4]| {
        let (order, mut times) = (&order, times.into_iter());
        Box::new(move || {
            order.borrow_mut().push(letter);
            Ok(Duration::from_millis(times.next().expect("it runs four times")))
        })
    };
    let (ours, bare) = (way('o', [99, 3, 1, 2]), way('b', [99, 30, 10, 20]));
    let mut comparison = Comparison { name: "run", ours, bare, rounds: 3, at_most: 1.05 };
    assert_eq!(compare(&mut comparison).expect("both work"), figure(2, 20));
    assert_eq!(order.take(), "obobobob");
}

#[test]
fn the_table_says_which_promise_is_broken() {
    let rows = table(&[figure(105, 100), figure(106, 100)]);
    let rows: Vec<&str> = rows.lines().skip(2).collect();
    assert_eq!(
        rows,
        ["| run | 105.00 ms | 100.00 ms | 1.050 | ≤ 1.05 | kept |", "| run | 106.00 ms | 100.00 ms | 1.060 | ≤ 1.05 | BROKEN |"]
    );
}
