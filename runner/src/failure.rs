//! Why an attempt could not be carried out: a reason from the closed list and a sentence for people.
//!
//! Not how a guest ended (that is an `Outcome`), and not a defect of ours (that is an error).

use crds::reason::Reason;

/// A final answer to "why did it not run, or not get published", for the status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub reason: Reason,
    /// Names the field, bucket, CID or digest, what was expected and got, and what to do next. Control characters are escaped and
    /// length is bounded where it is written to status.
    pub message: String,
}

impl Failure {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// An error and its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own message.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
