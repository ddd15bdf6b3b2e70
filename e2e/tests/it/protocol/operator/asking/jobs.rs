//! Reads and writes of jobs: as `operator::apply::job`.

use std::sync::Arc;

use operator::action::StatusWrite;
use operator::patch::{self, Failed};
use operator::state::{Event, StatusOutcome};

use super::super::super::api::{Answer, Key, Part, Request};
use super::super::super::clock::Millis;
use super::super::super::network::Outbox;
use super::super::super::without::Rule;
use super::super::{Operator, job, typed};
use super::{Asking, Of, failed, found};

impl Operator {
    pub(super) fn read_job(&mut self, uid: Arc<str>, name: Arc<str>, of: Of, out: &mut Outbox) {
        let request = Request::Get(Key::job(&name));
        self.ask_with(Asking::ReadJob { uid, name, of }, request, out);
    }

    pub(super) fn job_read(&mut self, uid: Arc<str>, name: Arc<str>, of: Of, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Ok(found) = found(answer) else { return self.read_job(uid, name, of, out) };
        let job = found.and_then(job).filter(|job| job.uid == uid).map(Box::new);
        let event = match of {
            Of::Action => Event::JobRead { uid, job },
            Of::Status => Event::StatusWritten { uid, outcome: StatusOutcome::Stale(job) },
        };
        self.observe(event, now);
    }

    /// P9: an end with no report behind it follows a live look at the job.
    pub(super) fn looked_at_job(&mut self, write: StatusWrite, answer: &Answer, now: Millis, out: &mut Outbox) {
        let Ok(found) = found(answer) else {
            let request = Request::Get(Key::job(&write.name));
            return self.ask_with(Asking::LookAtJob(write), request, out);
        };
        let found = found.and_then(job).filter(|job| job.uid == write.uid);
        if found.as_ref().is_some_and(|job| job.resource_version == write.resource_version) {
            return self.write_status(write, out);
        }
        let outcome = StatusOutcome::Stale(found.map(Box::new));
        self.observe(Event::StatusWritten { uid: write.uid, outcome }, now);
    }

    pub(super) fn write_status(&mut self, write: StatusWrite, out: &mut Outbox) {
        let mut operations = patch::status(&write);
        if self.without.lacks(Rule::P4Version) {
            operations.retain(|operation| operation["op"] != "test");
        }
        let request = Request::Patch { key: Key::job(&write.name), part: Part::Status, operations };
        self.ask_with(Asking::WriteStatus(write), request, out);
    }

    pub(super) fn wrote_status(&mut self, write: StatusWrite, answer: &Answer, now: Millis, out: &mut Outbox) {
        if let Answer::Object(object) = answer
            && let Some(job) = job(object)
        {
            let outcome = StatusOutcome::Written(Box::new(job));
            return self.observe(Event::StatusWritten { uid: write.uid, outcome }, now);
        }
        let outcome = match failed(answer) {
            Failed::Gone => StatusOutcome::Stale(None),
            Failed::Refused(_) => StatusOutcome::Refused,
            Failed::Test | Failed::Denied(_) | Failed::Unanswered(_) => return self.read_job(write.uid, write.name, Of::Status, out),
        };
        self.observe(Event::StatusWritten { uid: write.uid, outcome }, now);
    }

    pub(super) fn followed(&mut self, uid: Arc<str>, name: Arc<str>, is_written: bool, answer: &Answer, now: Millis, out: &mut Outbox) {
        if is_written {
            return match answer {
                Answer::Object(object) => {
                    let job = job(object).map(Box::new);
                    self.observe(Event::JobRead { uid, job }, now);
                }
                _ => self.read_job(uid, name, Of::Action, out),
            };
        }
        let Ok(found) = found(answer) else {
            let request = Request::Get(Key::job(&name));
            return self.ask_with(Asking::Follow { uid, name, is_written }, request, out);
        };
        match found.filter(|found| found["metadata"]["uid"] == *uid) {
            None => self.observe(Event::JobRead { uid, job: None }, now),
            Some(found) => {
                let request = Request::Patch { key: Key::job(&name), part: Part::Status, operations: patch::follow(&typed(found)) };
                self.ask_with(Asking::Follow { uid, name, is_written: true }, request, out);
            }
        }
    }
}
