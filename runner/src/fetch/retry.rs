//! Trying again what may pass: a few times, with growing pauses, within the deadline of the whole fetch.

use std::time::Duration;

use crds::reason::Reason;

use crate::failure::Failure;

const TRIES: u32 = 3;
/// Before the second try; doubled for each one after.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How one try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// The same again would fail the same way.
    Final(Failure),
    /// It may work next time: not before the given pause, where the server named one.
    Passing(Failure, Option<Duration>),
}

// === impl Setback ===

impl Setback {
    pub(crate) fn last(reason: Reason, message: impl Into<String>) -> Self {
        Self::Final(Failure::new(reason, message))
    }

    pub(crate) fn passing(reason: Reason, message: impl Into<String>) -> Self {
        Self::Passing(Failure::new(reason, message), None)
    }
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

/// The first answer of `attempt`, which is called again while its setbacks are passing.
pub(crate) async fn retrying<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Setback>>,
{
    let mut pause = FIRST_PAUSE;
    for try_number in 1.. {
        let (failure, asked) = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(Setback::Final(failure)) => return Err(failure),
            Err(Setback::Passing(failure, asked)) => (failure, asked),
        };
        if try_number == TRIES {
            return Err(Failure::new(failure.reason, format!("{} (tried {TRIES} times)", failure.message)));
        }
        tracing::debug!(%failure, try_number, "trying again");
        tokio::time::sleep(jittered(pause).max(asked.unwrap_or_default().min(LONGEST_PAUSE))).await;
        pause *= 2;
    }
    unreachable!("the loop has no end but its returns")
}

/// Between half of `pause` and all of it, so that those who failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without random bytes everybody waits the full pause.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    pause.mul_f64(1.0 - f64::from(random[0]) / 512.0)
}
