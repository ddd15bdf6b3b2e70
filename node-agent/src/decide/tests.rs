use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crds::node::{AssignedJob, Assignment, AssignmentReport, EndedReport, ReportStage};
use crds::reason::Reason;
use jiff::Timestamp;

use super::{Action, Attempt, Attempts, Drain, ORPHANED, Past, Phase, SHORT, Situation, Why, decide, found, next_look};

fn entry(fence: &str) -> Assignment {
    let job = AssignedJob {
        namespace: "team".to_owned(),
        name: "job".to_owned(),
        uid: "uid".to_owned(),
        run: 1,
        generation: 1,
        spec_hash: "hash".to_owned(),
    };
    Assignment { job, attempt: 1, fence: fence.to_owned(), indexes: "0".to_owned(), cancel: false, read_as: None }
}

fn cancelled(fence: &str) -> Assignment {
    Assignment { cancel: true, ..entry(fence) }
}

fn report(fence: &str, reason: Reason) -> AssignmentReport {
    let ended = Some(EndedReport::without_guest(reason, "", Timestamp::UNIX_EPOCH));
    AssignmentReport { fence: fence.to_owned(), stage: ReportStage::Ended, start_time: None, ended }
}

/// Where an attempt stands, in a test's words.
#[derive(Clone, Copy)]
enum At {
    Reading,
    /// Wants so much memory; its turn.
    Waiting(u64, u64),
    Running(u64),
    /// So long ago.
    Ended(Duration),
}

struct Table {
    now: Instant,
    entries: BTreeMap<String, Assignment>,
    attempts: Attempts,
    drain: Drain,
}

impl Table {
    fn new() -> Self {
        // Room to look back.
        let now = Instant::now() + 2 * ORPHANED;
        Self { now, entries: BTreeMap::new(), attempts: Attempts::new(), drain: Drain::No }
    }

    fn entry(mut self, id: &str, entry: Assignment) -> Self {
        self.entries.insert(id.to_owned(), entry);
        self
    }

    fn attempt(mut self, id: &str, fence: &str, at: At) -> Self {
        let phase = match at {
            At::Reading => Phase::Reading,
            At::Waiting(memory_bytes, turn) => Phase::Waiting { memory_bytes, turn },
            At::Running(memory_bytes) => Phase::Running { memory_bytes, since: self.now, start: Timestamp::UNIX_EPOCH },
            At::Ended(ago) => Phase::Ended {
                report: Box::new(report(fence, Reason::Completed)),
                at: self.now.checked_sub(ago).expect("there is room to look back"),
            },
        };
        self.attempts.insert(id.to_owned(), Attempt { fence: fence.to_owned(), phase, ending: None, told: false });
        self
    }

    /// The last attempt is told.
    fn told(mut self, id: &str) -> Self {
        self.attempts.get_mut(id).expect("there is one").told = true;
        self
    }

    fn ending(mut self, id: &str, why: Why) -> Self {
        self.attempts.get_mut(id).expect("there is one").ending = Some(why);
        self
    }

    fn drain(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// With three slots and 10 bytes; fences that begin with `old` have ended.
    fn check(&self, what: &str, expected: &[Action]) {
        let situation = Situation { entries: &self.entries, attempts: &self.attempts, slots: 3, memory_bytes: 10, drain: self.drain };
        let actions = decide(self.now, &situation, |fence| fence.starts_with("old"));
        assert_eq!(actions, expected, "{what}");
    }
}

fn begin(id: &str, likely: bool) -> Action {
    Action::Begin { id: id.to_owned(), likely }
}

fn answer(id: &str) -> Action {
    Action::Answer { id: id.to_owned() }
}

fn decline(id: &str, why: Why) -> Action {
    Action::Decline { id: id.to_owned(), why }
}

fn admit(id: &str) -> Action {
    Action::Admit { id: id.to_owned() }
}

fn end(id: &str, why: Why) -> Action {
    Action::End { id: id.to_owned(), why }
}

fn forget(id: &str) -> Action {
    Action::Forget { id: id.to_owned() }
}

#[test]
fn entries_begin_once_and_end_when_they_say_so() {
    let zero = Duration::ZERO;
    let one = || Table::new().entry("a", entry("f"));
    let rows = [
        ("a new one begins", one(), vec![begin("a", true)]),
        ("one that is known does not begin again", one().attempt("a", "f", At::Reading), vec![]),
        ("nor one that has ended", one().attempt("a", "f", At::Ended(zero)), vec![]),
        ("P12: a fence that has ended is answered", Table::new().entry("a", entry("old")), vec![answer("a")]),
        ("even if it is cancelled", Table::new().entry("a", cancelled("old")), vec![answer("a")]),
        ("one that is cancelled never begins", Table::new().entry("a", cancelled("f")), vec![decline("a", Why::Cancelled)]),
        (
            "one that is cancelled ends",
            Table::new().entry("a", cancelled("f")).attempt("a", "f", At::Running(1)),
            vec![end("a", Why::Cancelled)],
        ),
        ("it is told once", Table::new().entry("a", cancelled("f")).attempt("a", "f", At::Running(1)).ending("a", Why::Cancelled), vec![]),
        ("and not when it has ended", Table::new().entry("a", cancelled("f")).attempt("a", "f", At::Ended(zero)), vec![]),
        (
            "P1: an id with another fence waits for the old attempt's end",
            one().attempt("a", "g", At::Running(1)),
            vec![end("a", Why::Vanished)],
        ),
        ("and waits on", one().attempt("a", "g", At::Running(1)).ending("a", Why::Vanished), vec![]),
        ("then begins", one().attempt("a", "g", At::Ended(zero)), vec![begin("a", true)]),
    ];
    for (what, table, expected) in rows {
        table.check(what, &expected);
    }
}

/// P7, P14.
#[test]
fn reports_stay_until_whoever_must_see_them_has() {
    let short = ORPHANED.checked_sub(Duration::from_secs(1)).expect("minutes");
    let gone = |at| Table::new().attempt("a", "f", at);
    let rows = [
        ("its entry is there", Table::new().entry("a", entry("f")).attempt("a", "f", At::Ended(ORPHANED)).told("a"), vec![]),
        ("told, and released", gone(At::Ended(Duration::ZERO)).told("a"), vec![forget("a")]),
        ("not told yet: whoever took the entry has not seen it", gone(At::Ended(short)), vec![]),
        ("nobody remembers it any more", gone(At::Ended(ORPHANED)), vec![forget("a")]),
        ("an entry that vanishes ends what it began", gone(At::Running(1)), vec![end("a", Why::Vanished)]),
        ("also before it began", gone(At::Reading), vec![end("a", Why::Vanished)]),
        ("also while it waits", gone(At::Waiting(1, 1)), vec![end("a", Why::Vanished)]),
    ];
    for (what, table, expected) in rows {
        table.check(what, &expected);
    }
}

#[test]
fn there_is_room_for_slots_and_memory_in_the_order_in_which_they_asked() {
    let table =
        |attempts: &[(&str, At)]| attempts.iter().fold(Table::new(), |table, (id, at)| table.entry(id, entry(id)).attempt(id, id, *at));
    let rows = [
        ("there is room", table(&[("a", At::Waiting(10, 1))]), vec![admit("a")]),
        ("by turn, not by name", table(&[("a", At::Waiting(6, 2)), ("b", At::Waiting(6, 1))]), vec![admit("b")]),
        ("nobody overtakes", table(&[("a", At::Waiting(1, 3)), ("b", At::Waiting(6, 2)), ("c", At::Running(5))]), vec![]),
        ("memory of what runs is taken", table(&[("a", At::Waiting(5, 1)), ("b", At::Running(5))]), vec![admit("a")]),
        (
            "slots of what runs are taken",
            table(&[("a", At::Running(1)), ("b", At::Running(1)), ("c", At::Running(1)), ("d", At::Waiting(1, 1))]),
            vec![],
        ),
        (
            "as many as there are slots",
            table(&[("a", At::Waiting(1, 1)), ("b", At::Waiting(1, 2)), ("c", At::Waiting(1, 3)), ("d", At::Waiting(1, 4))]),
            vec![admit("a"), admit("b"), admit("c")],
        ),
        ("what has ended takes none", table(&[("a", At::Ended(Duration::ZERO)), ("b", At::Waiting(10, 1))]), vec![admit("b")]),
        (
            "only what will find a slot is likely",
            table(&[("a", At::Reading), ("b", At::Running(1))]).entry("c", entry("c")).entry("d", entry("d")),
            vec![begin("c", true), begin("d", false)],
        ),
    ];
    for (what, table, expected) in rows {
        table.check(what, &expected);
    }
}

#[test]
fn a_drain_takes_nothing_new_and_in_the_end_ends_all() {
    let table = |drain| {
        let table = Table::new().entry("new", entry("f1")).entry("runs", entry("f2")).entry("waits", entry("f3"));
        table.attempt("runs", "f2", At::Running(1)).attempt("waits", "f3", At::Waiting(1, 1)).drain(drain)
    };
    let waiting = [decline("new", Why::Drained), end("waits", Why::Drained)];
    table(Drain::Waiting).check("what runs may end by itself", &waiting);
    let over = [decline("new", Why::Drained), end("runs", Why::Drained), end("waits", Why::Drained)];
    table(Drain::Over).check("the grace period is over", &over);
    Table::new().entry("a", entry("old")).drain(Drain::Over).check("an old ending is answered all the same", &[answer("a")]);
}

/// P12, the first read.
#[test]
fn nothing_that_is_found_is_started() {
    let running = AssignmentReport { stage: ReportStage::Running, ended: None, ..report("f", Reason::Completed) };
    let (of_status, of_journal) = (report("f", Reason::GuestExit), report("f", Reason::Trap));
    // (what status says, what the journal says, what it is reported as, whether the server has that already)
    let rows = [
        (None, Past::Started, "AgentRestarted", false),
        (None, Past::Unknown, "AgentRestarted", false),
        (None, Past::NotStarted, "Disrupted", false),
        (None, Past::Ended(Box::new(of_journal.clone())), "Trap", false),
        (Some(of_status.clone()), Past::NotStarted, "GuestExit", true),
        (Some(of_status), Past::Ended(Box::new(of_journal)), "GuestExit", true),
        (Some(running), Past::Started, "AgentRestarted", false),
        // Of another attempt: nothing is taken from it.
        (Some(report("g", Reason::GuestExit)), Past::NotStarted, "Disrupted", false),
    ];
    let entries = BTreeMap::from([("a".to_owned(), entry("f"))]);
    for (status, past, expected, told) in rows {
        let reports = status.clone().map(|report| ("a".to_owned(), report)).into_iter().collect();
        let attempts = found(Instant::now(), Timestamp::UNIX_EPOCH, &entries, &reports, |_| past.clone());
        let attempt = &attempts["a"];
        let report = attempt.report().expect("it has ended");
        let reason = report.ended.as_ref().map(|ended| ended.reason.as_str());
        assert_eq!((reason, attempt.told, report.fence.as_str()), (Some(expected), told, "f"), "{status:?} {past:?}");
        let situation = Situation { entries: &entries, attempts: &attempts, slots: 3, memory_bytes: 10, drain: Drain::No };
        assert_eq!(decide(Instant::now(), &situation, |_| false), [], "{status:?} {past:?}");
    }
}

#[test]
fn it_looks_again_when_an_attempt_has_outlived_a_second() {
    let table = Table::new().attempt("a", "a", At::Running(1)).attempt("b", "b", At::Reading);
    assert_eq!(next_look(table.now, &table.attempts), Some(table.now + SHORT));
    assert_eq!(next_look(table.now + SHORT, &table.attempts), None);
}
