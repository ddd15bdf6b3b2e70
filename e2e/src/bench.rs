//! Figures that mean something on a busy machine: two ways to do the same work, taken in turns within one run. Times swing with the
//! load, the ratio of two neighbours stays. What is compared stands in `bin/bench`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// One way to do the work once; gives what counts, in the unit of its row.
pub type Way<'a> = Box<dyn FnMut() -> anyhow::Result<f64> + 'a>;

/// A row of the table.
pub struct Row<'a> {
    /// What is done.
    pub name: &'static str,
    /// What both ways give.
    pub unit: Unit,
    /// Our way.
    pub ours: Way<'a>,
    /// The bare way, which sets the measure; none where only our own figure matters.
    pub bare: Option<Way<'a>>,
    /// How often each is done.
    pub rounds: usize,
    /// What we hold ourselves to.
    pub promise: Promise,
}

/// What a row's figures are, and which of many stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The median.
    Milliseconds,
    /// The largest.
    Mebibytes,
    /// The largest.
    Kibibytes,
    /// The median.
    Writes,
}

/// What a row must keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Promise {
    /// Nothing: the figure is worth knowing.
    None,
    /// Largest ours ÷ bare.
    Ratio(f64),
    /// Largest figure of ours, in the row's unit.
    AtMost(f64),
}

/// What came out of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was done.
    pub name: &'static str,
    /// Of all figures.
    pub unit: Unit,
    /// Our way.
    pub ours: f64,
    /// The bare way.
    pub bare: Option<f64>,
    /// Median of ours ÷ bare, each of one round.
    pub ratio: Option<f64>,
    /// The promise.
    pub promise: Promise,
}

// === impl Figure ===

impl Figure {
    /// Whether the promise is kept.
    pub fn holds(&self) -> bool {
        match self.promise {
            Promise::None => true,
            Promise::Ratio(most) => self.ratio.is_some_and(|ratio| ratio <= most),
            Promise::AtMost(most) => self.ours <= most,
        }
    }
}

// === impl Unit ===

impl Unit {
    fn typical(self, values: &[f64]) -> f64 {
        match self {
            Self::Milliseconds | Self::Writes => median(values),
            Self::Mebibytes | Self::Kibibytes => values.iter().copied().fold(0.0, f64::max),
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::Kibibytes => format!("{value:.2} KiB"),
            Self::Writes => format!("{value:.2}"),
        }
    }
}

/// Does each way once without counting, then both in turns; who begins alternates.
pub fn measure(row: &mut Row<'_>) -> anyhow::Result<Figure> {
    (row.ours)()?;
    row.bare.as_mut().map(|bare| bare()).transpose()?;
    let (mut ours, mut bares, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..row.rounds.max(1) {
        let Some(bare) = &mut row.bare else {
            ours.push((row.ours)()?);
            continue;
        };
        let (our, bare) = if round % 2 == 0 {
            let our = (row.ours)()?;
            (our, bare()?)
        } else {
            let bare = bare()?;
            ((row.ours)()?, bare)
        };
        ours.push(our);
        bares.push(bare);
        ratios.push(our / bare);
    }
    let of = |values: &[f64], typical: &dyn Fn(&[f64]) -> f64| (!values.is_empty()).then(|| typical(values));
    Ok(Figure {
        name: row.name,
        unit: row.unit,
        ours: row.unit.typical(&ours),
        bare: of(&bares, &|values| row.unit.typical(values)),
        ratio: of(&ratios, &median),
        promise: row.promise,
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A duration as a row's figure.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The head of the Markdown table.
pub const TABLE_HEAD: &str = "| | ours | bare | ours ÷ bare | promised | |\n|---|---|---|---|---|---|";

/// A row of the Markdown table.
pub fn table_row(figure: &Figure) -> String {
    let unit = figure.unit;
    let mut row = format!("| {} | {} ", figure.name, unit.shown(figure.ours));
    let bare = figure.bare.map_or_else(String::new, |bare| unit.shown(bare));
    let ratio = figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
    let promise = match figure.promise {
        Promise::None => String::new(),
        Promise::Ratio(most) => format!("ratio ≤ {most}"),
        Promise::AtMost(most) => format!("≤ {}", unit.shown(most)),
    };
    let verdict = match (figure.promise, figure.holds()) {
        (Promise::None, _) => "",
        (_, true) => "kept",
        (_, false) => "BROKEN",
    };
    write!(row, "| {bare} | {ratio} | {promise} | {verdict} |").expect("writing to a string never fails");
    row
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
