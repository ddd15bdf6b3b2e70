//! Fibonacci numbers. Nothing on stdin: the first five, in a sentence. A number on stdin: that many of them, as a list.
//! Anything else on stdin counts as 1.

use std::io::{Read as _, stdin};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut input = Vec::new();
    if let Err(error) = stdin().read_to_end(&mut input) {
        eprintln!("cannot read stdin: {error}");
        return ExitCode::FAILURE;
    }
    if input.is_empty() {
        println!("The first 5 fibonacci numbers are: {:?}", first(5));
        return ExitCode::SUCCESS;
    }
    let wanted = std::str::from_utf8(&input).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
    let numbers = first(wanted);
    if numbers.len() < wanted {
        eprintln!("only the first {} fibonacci numbers fit into 128 bits, not {wanted}", numbers.len());
        return ExitCode::FAILURE;
    }
    println!("{numbers:?}");
    ExitCode::SUCCESS
}

/// The first `wanted` numbers, fewer where the next one no longer fits.
fn first(wanted: usize) -> Vec<u128> {
    std::iter::successors(Some((0_u128, Some(1_u128))), |&(number, next)| {
        let next = next?;
        Some((next, number.checked_add(next)))
    })
    .map(|(number, _)| number)
    .take(wanted)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn numbers_start_at_zero_and_end_where_128_bits_do() {
        assert_eq!(first(0), []);
        assert_eq!(first(1), [0]);
        assert_eq!(first(10), [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]);
        assert_eq!(first(1000).len(), 187);
        assert_eq!(first(1000).last(), Some(&332_825_110_087_067_562_321_196_029_789_634_457_848));
    }
}
