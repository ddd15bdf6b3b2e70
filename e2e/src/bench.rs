//! Comparisons of two ways to do the same work, taken in turns within one run: on a busy machine the times swing, the ratio stays. What
//! is compared stands in `bin/bench.rs`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// One way to do the work once; gives the time that counts.
pub type Way<'a> = Box<dyn FnMut() -> anyhow::Result<Duration> + 'a>;

/// A row of the table.
pub struct Comparison<'a> {
    /// What is done.
    pub name: &'static str,
    /// Our way.
    pub ours: Way<'a>,
    /// The bare way, which sets the measure.
    pub bare: Way<'a>,
    /// How often each is done.
    pub rounds: usize,
    /// Largest ours ÷ bare that keeps the promise.
    pub at_most: f64,
}

/// What came out of one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was done.
    pub name: &'static str,
    /// Median of our way.
    pub ours: Duration,
    /// Median of the bare way.
    pub bare: Duration,
    /// The promise.
    pub at_most: f64,
}

impl Figure {
    /// Ours ÷ bare.
    pub fn ratio(&self) -> f64 {
        self.ours.as_secs_f64() / self.bare.as_secs_f64()
    }

    /// Whether the promise is kept.
    pub fn holds(&self) -> bool {
        self.ratio() <= self.at_most
    }
}

/// Does each way once without counting, then both in turns.
pub fn compare(comparison: &mut Comparison<'_>) -> anyhow::Result<Figure> {
    (comparison.ours)()?;
    (comparison.bare)()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..comparison.rounds.max(1) {
        ours.push((comparison.ours)()?);
        bare.push((comparison.bare)()?);
    }
    Ok(Figure { name: comparison.name, ours: median(ours), bare: median(bare), at_most: comparison.at_most })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The figures as a Markdown table.
pub fn table(figures: &[Figure]) -> String {
    let mut table = "| | ours p50 | bare p50 | ours ÷ bare | promised | |\n|---|---|---|---|---|---|\n".to_owned();
    for figure in figures {
        let verdict = if figure.holds() { "kept" } else { "BROKEN" };
        let (ours, bare) = (milliseconds(figure.ours), milliseconds(figure.bare));
        writeln!(table, "| {} | {ours} | {bare} | {:.3} | ≤ {} | {verdict} |", figure.name, figure.ratio(), figure.at_most)
            .expect("writing to a string never fails");
    }
    table
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Load averages and processors, without which no time means anything.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let averages: Vec<&str> = load.split_whitespace().take(3).collect();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("load {} on {processors} processors", averages.join(" "))
}

#[cfg(test)]
mod tests;
