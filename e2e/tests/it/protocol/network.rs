//! Requests on their way: who asked, what, and how far it has come. Delivers nothing by itself.

use super::api::{Answer, Request};

/// A process that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Process {
    Operator(usize),
    Agent(usize),
}

/// One request, and its answer once there is one.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) from: Process,
    /// The task that waits for the answer; `None`: nobody does any more.
    pub(crate) task: Option<u32>,
    pub(crate) request: Request,
    pub(crate) answer: Option<Answer>,
}

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Not begun, or broken off: it begins with a list.
    Broken,
    Listing,
    /// Everything up to this revision was seen.
    At(u64),
}

/// Whether a process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Up,
    /// SIGSTOP.
    Stopped,
    Down,
}

/// What a process wants of the world.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// By the task that waits for the answer.
    pub(crate) asks: Vec<(u32, Request)>,
    /// The process ends, and why.
    pub(crate) over: Option<String>,
}
