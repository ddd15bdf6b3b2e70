use std::sync::{Arc, Mutex};

use super::*;

const PAGE: usize = 64 << 10;

fn limiter(limit: u64, elements: u64) -> (MemoryLimiter, Arc<Mutex<Vec<u64>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    (MemoryLimiter::new(limit, elements, Box::new(move |bytes| teller.lock().expect("no panic").push(bytes))), told)
}

#[test]
fn memories_and_tables_are_summed() {
    let (mut limiter, _) = limiter(2 * PAGE as u64, 10_000);
    assert!(limiter.memory_growing(0, PAGE, None).expect("an answer"));
    assert!(limiter.table_growing(0, 1000, None).expect("an answer"));
    assert!(!limiter.memory_growing(0, PAGE, None).expect("an answer"), "a second memory beside a table is too much");
    assert_eq!((limiter.peak, limiter.refused), (PAGE as u64 + 8000, Some(2 * PAGE as u64 + 8000)));
}

#[test]
fn growth_beyond_the_modules_own_maximum_is_not_our_refusal() {
    let (mut limiter, _) = limiter(1 << 30, 10);
    assert!(!limiter.memory_growing(PAGE, 3 * PAGE, Some(2 * PAGE)).expect("an answer"));
    assert!(!limiter.table_growing(0, 3, Some(2)).expect("an answer"));
    assert_eq!((limiter.peak, limiter.refused), (0, None));
}

#[test]
fn tables_have_a_limit_of_their_own() {
    let (mut limiter, _) = limiter(1 << 30, 10);
    assert!(limiter.table_growing(0, 10, None).expect("an answer"));
    assert!(!limiter.table_growing(10, 11, None).expect("an answer"));
    assert_eq!((limiter.refused, limiter.refused_elements), (None, Some(11)));
}

#[test]
fn growth_is_told_when_it_has_doubled() {
    let (mut limiter, told) = limiter(1 << 30, 10);
    for page in 0..64 {
        assert!(limiter.memory_growing(page * PAGE, (page + 1) * PAGE, None).expect("an answer"));
    }
    assert_eq!(*told.lock().expect("no panic"), [1 << 20, 2 << 20, 4 << 20]);
}
