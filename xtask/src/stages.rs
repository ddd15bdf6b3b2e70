//! Runs named stages one after the other, tells how long each took, and ends with one line. Stops at the first that fails.

use std::time::{Duration, Instant};

/// One step of a verb.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> anyhow::Result<()>,
}

/// Runs the stages in order.
pub(crate) fn run(verb: &str, stages: &[Stage]) -> anyhow::Result<()> {
    let mut took = Vec::new();
    for stage in stages {
        eprintln!("== {}", stage.name);
        let started = Instant::now();
        let result = (stage.run)();
        took.push((stage.name, started.elapsed()));
        if let Err(error) = result {
            eprintln!("{}", summary(verb, &took, Some(stage.name)));
            return Err(error.context(format!("stage {:?} failed", stage.name)));
        }
    }
    eprintln!("{}", summary(verb, &took, None));
    Ok(())
}

fn summary(verb: &str, took: &[(&str, Duration)], failed: Option<&str>) -> String {
    let total: Duration = took.iter().map(|(_, time)| *time).sum();
    let each: Vec<String> = took.iter().map(|(name, time)| format!("{name} {:.1} s", time.as_secs_f64())).collect();
    let verdict = failed.map_or_else(|| "passed".to_owned(), |stage| format!("FAILED at {stage}"));
    format!("{verb} {verdict} in {:.1} s: {}", total.as_secs_f64(), each.join(", "))
}

#[cfg(test)]
mod tests;
