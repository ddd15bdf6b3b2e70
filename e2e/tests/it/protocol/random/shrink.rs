//! A shorter schedule that fails as well: parts of it are left out as long as it still does. Knows nothing of what a step is.

/// The shortest that was found. Halves are left out first, then quarters, down to single steps.
pub(crate) fn shrunk<T: Clone>(mut steps: Vec<T>, fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut begin = 0;
        while begin < steps.len() {
            let end = (begin + size).min(steps.len());
            let rest: Vec<T> = steps[..begin].iter().chain(&steps[end..]).cloned().collect();
            if fails(&rest) {
                steps = rest;
            } else {
                begin = end;
            }
        }
        size /= 2;
    }
    steps
}

#[test]
fn what_is_not_needed_is_left_out() {
    let needs = |steps: &[u32]| steps.contains(&17) && steps.contains(&60);
    assert_eq!(shrunk((0..100).collect(), needs), [17, 60]);
}
