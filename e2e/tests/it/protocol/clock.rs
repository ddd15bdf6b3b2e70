//! Clocks: one true time, in milliseconds, and what each process reads of it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Milliseconds, of true time or of a process's monotonic clock.
pub(crate) type Millis = u64;

/// When every run begins: late enough for anything to have been earlier.
pub(crate) const BEGIN: Millis = 1_000_000;

/// `Instant`s have no other origin. All runs share it, so that equal times are equal.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The clocks of one process. Those of two are never compared (P10), so they differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Its monotonic clock's rate, in thousandths of true time.
    pub(crate) rate: u64,
    /// How far its wall clock is ahead of true time, in milliseconds.
    pub(crate) ahead: i64,
}

impl Clock {
    /// The monotonic clock.
    pub(crate) fn ticks(self, now: Millis) -> Millis {
        now * self.rate / 1000
    }

    /// The first true time at which the monotonic clock has reached `ticks`.
    pub(crate) fn when(self, ticks: Millis) -> Millis {
        (ticks * 1000).div_ceil(self.rate)
    }

    pub(crate) fn mono(self, now: Millis) -> Duration {
        Duration::from_millis(self.ticks(now))
    }

    pub(crate) fn instant(self, now: Millis) -> Instant {
        *ORIGIN + self.mono(now)
    }

    /// The true time of an `Instant` of this clock.
    pub(crate) fn when_instant(self, at: Instant) -> Millis {
        let ticks = at.saturating_duration_since(*ORIGIN).as_millis();
        self.when(Millis::try_from(ticks).unwrap_or(Millis::MAX / 2000))
    }

    pub(crate) fn wall(self, now: Millis) -> Timestamp {
        let millis = i64::try_from(now).expect("a run is short") + self.ahead;
        Timestamp::from_millisecond(1_800_000_000_000 + millis).expect("a time of this century")
    }
}
