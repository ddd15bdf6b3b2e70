//! What the journal holds, by fence: small, whatever the reports are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crds::node::AssignmentReport;

use super::KEPT;
use super::record::Record;

/// Which fences started and which ended.
#[derive(Debug, Default)]
pub(super) struct Index {
    started: HashSet<Box<str>>,
    ended: HashMap<Box<str>, Place>,
    /// The ended ones, oldest first.
    order: VecDeque<Box<str>>,
    /// Of the lines of the ended ones.
    ended_bytes: u64,
}

/// What counts, at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Not ended.
    pub(super) started: Vec<Box<str>>,
    /// Oldest first.
    pub(super) ended: Vec<(Box<str>, Line)>,
}

/// Where the report of an ended fence is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Not written yet.
    Memory(Arc<AssignmentReport>),
    Line(Line),
}

/// One line of the file.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) length: usize,
}

// === impl Index ===

impl Index {
    pub(super) fn is_started(&self, fence: &str) -> bool {
        self.started.contains(fence)
    }

    pub(super) fn has_ended(&self, fence: &str) -> bool {
        self.ended.contains_key(fence)
    }

    /// The report of an ended fence, unless the disk lost it.
    pub(super) fn report(&self, fence: &str) -> Option<Box<AssignmentReport>> {
        match self.ended.get(fence)? {
            Place::Memory(report) => Some(Box::new(AssignmentReport::clone(report))),
            Place::Line(line) => line.record()?.report.map(|report| Box::new(Arc::unwrap_or_clone(report))),
        }
    }

    pub(super) fn started(&mut self, fence: &str) {
        if !self.ended.contains_key(fence) {
            self.started.insert(fence.into());
        }
    }

    pub(super) fn ended(&mut self, fence: &str, place: Place) {
        self.started.remove(fence);
        self.ended_bytes += place.bytes();
        match self.ended.insert(fence.into(), place) {
            Some(before) => self.ended_bytes -= before.bytes(),
            None => self.order.push_back(fence.into()),
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front().and_then(|oldest| self.ended.remove(&oldest)) {
                self.ended_bytes -= oldest.bytes();
            }
        }
    }

    /// A record has got its line.
    pub(super) fn written(&mut self, record: &Record, line: &Line) {
        match &record.report {
            None => self.started(&record.fence),
            // One that was dropped since for being too old stays dropped.
            Some(_) if !self.ended.contains_key(record.fence.as_str()) => {}
            Some(_) => self.ended(&record.fence, Place::Line(line.clone())),
        }
    }

    /// What a new file has to hold. What is not written yet is appended to it in its turn.
    pub(super) fn snapshot(&self) -> Snapshot {
        let line = |fence: &str| match self.ended.get(fence)? {
            Place::Memory(_) => None,
            Place::Line(line) => Some((fence.into(), line.clone())),
        };
        let ended = self.order.iter().filter_map(|fence| line(fence)).collect();
        Snapshot { started: self.started.iter().cloned().collect(), ended }
    }

    /// An ending has got another line.
    pub(super) fn moved(&mut self, fence: &str, to: Line) {
        if let Some(place @ Place::Line(_)) = self.ended.get_mut(fence) {
            *place = Place::Line(to);
        }
    }

    /// Bytes of the lines that count, about.
    pub(super) fn live_bytes(&self) -> u64 {
        self.ended_bytes + self.started.len() as u64 * 128
    }
}

// === impl Place ===

impl Place {
    fn bytes(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Line(line) => line.length as u64,
        }
    }
}

// === impl Line ===

impl Line {
    pub(super) fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length];
        self.file.read_exact_at(&mut bytes, self.offset).map(|()| bytes)
    }

    fn record(&self) -> Option<Record> {
        Record::of_line(&self.bytes().ok()?)
    }
}
