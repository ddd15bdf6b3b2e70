use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crds::node::{AssignmentReport, EndedReport, ReportStage};
use crds::reason::Reason;
use crds::status::OutputStatus;
use jiff::Timestamp;
use serde_json::json;

use super::patch::operations;
use super::{Batch, COMPANY, MOST_REPORTS, Mark, Mirror, NodeState, Refusals, WAIT_FOR_COMPANY, Wanted, Wish, next, ready};

fn state(running: i32) -> NodeState {
    NodeState {
        running,
        public_key: "key".to_owned(),
        ready: Some(ready("AgentReady", "", None, Timestamp::UNIX_EPOCH)),
        allocatable: None,
        runtime: None,
    }
}

/// What a server has after these were written.
fn mirror(ids: &[String]) -> Mirror {
    let mark = |id: &String| (id.clone(), Mark { fence: id.clone(), stage: ReportStage::Ended });
    Mirror { uid: "u".to_owned(), agent: "me".to_owned(), sequence: 7, reports: ids.iter().map(mark).collect(), node: state(0) }
}

/// A report that a guest made `bytes` long.
fn report(fence: &str, bytes: usize) -> AssignmentReport {
    let mut ended = EndedReport::without_guest(Reason::GuestExit, "", Timestamp::UNIX_EPOCH);
    ended.output = Some(OutputStatus { exit_code: Some(3), stdout_tail: "x".repeat(bytes), ..OutputStatus::default() });
    AssignmentReport { fence: fence.to_owned(), stage: ReportStage::Ended, start_time: None, ended: Some(ended) }
}

fn reports(ids: impl IntoIterator<Item = usize>, bytes: usize) -> Vec<(String, AssignmentReport)> {
    ids.into_iter().map(|number| format!("{number:03}")).map(|id| (id.clone(), report(&id, bytes))).collect()
}

fn wanted(reports: &[(String, AssignmentReport)]) -> Wanted<'_> {
    let reports = reports.iter().map(|(id, report)| (id.as_str(), Wish::Ended(report))).collect();
    Wanted { agent: "me", reports, node: state(0) }
}

/// How many reports and removals the next write has.
fn sizes(batch: Option<&Batch>) -> Option<(usize, usize)> {
    batch.map(|batch| (batch.reports.len(), batch.remove.len()))
}

/// P6.
#[test]
fn a_write_takes_what_has_gathered_and_removals_wait_for_company() {
    let now = Instant::now();
    let ids = |count: usize| (0..count).map(|number| format!("{number:03}")).collect::<Vec<_>>();
    let (none, few) = (reports(0..0, 0), reports(0..3, 10));
    let large = reports(0..20, 4000);
    let alone = reports(0..2, 60_000);
    // (on the server, wanted, what the next write has)
    let rows = [
        ("nothing changed", ids(3), &few, None),
        ("reports go at once", ids(0), &few, Some((3, 0))),
        ("at most so many bytes", ids(0), &large, Some((7, 0))),
        ("one may be larger", ids(0), &alone, Some((1, 0))),
        ("removals wait", ids(3), &none, None),
        ("until there are enough", ids(COMPANY), &none, Some((0, COMPANY))),
        ("or something goes anyway", ids(2), &few, Some((1, 0))),
    ];
    for (what, on_server, reports, expected) in rows {
        let batch = next(&mirror(&on_server), &wanted(reports), &mut Refusals::default(), &mut None, now);
        assert_eq!(sizes(batch.as_ref()), expected, "{what}");
    }
    let running = |id| (id, Wish::Running { fence: id, start: Timestamp::UNIX_EPOCH });
    let many = ids(MOST_REPORTS + 5);
    let many = Wanted { reports: many.iter().map(|id| running(id.as_str())).collect(), ..wanted(&none) };
    let batch = next(&mirror(&[]), &many, &mut Refusals::default(), &mut None, now);
    assert_eq!(sizes(batch.as_ref()), Some((MOST_REPORTS, 0)), "at most so many");
    let mut removing = None;
    let mut at = |after| next(&mirror(&ids(3)), &wanted(&none), &mut Refusals::default(), &mut removing, now + after);
    assert_eq!(at(Duration::ZERO), None);
    assert_eq!(at(WAIT_FOR_COMPANY / 2), None);
    assert_eq!(sizes(at(WAIT_FOR_COMPANY).as_ref()), Some((0, 3)), "or half a second is over");
}

/// R5: nothing is written that says nothing.
#[test]
fn how_many_run_rides_along() {
    let now = Instant::now();
    let few = reports(0..1, 10);
    let at = |mirror: &Mirror, wanted: &Wanted<'_>| next(mirror, wanted, &mut Refusals::default(), &mut None, now);
    let busy = |reports| Wanted { node: state(5), ..wanted(reports) };
    assert_eq!(at(&mirror(&[]), &busy(&[])), None);
    assert_eq!(at(&mirror(&[]), &busy(&few)).and_then(|batch| batch.node), Some(state(5)));
    let draining = NodeState { ready: Some(ready("Draining", "", None, Timestamp::UNIX_EPOCH)), ..state(0) };
    assert!(at(&mirror(&[]), &Wanted { node: draining, ..wanted(&[]) }).is_some());
    let other = Mirror { agent: "other".to_owned(), ..mirror(&[]) };
    assert!(at(&other, &wanted(&[])).is_some(), "a new pod's first write");
}

/// Writes until nothing is left to write; `accepts` says what the server makes of each batch. How many writes, and what is there then.
fn write_all(reports: &[(String, AssignmentReport)], accepts: impl Fn(&Batch) -> bool) -> (usize, BTreeMap<String, AssignmentReport>) {
    let (now, mut refusals, mut removing) = (Instant::now(), Refusals::default(), None);
    let (mut mirror, mut there, mut sent) = (mirror(&[]), BTreeMap::new(), Vec::<Batch>::new());
    while let Some(batch) = next(&mirror, &wanted(reports), &mut refusals, &mut removing, now) {
        assert!(!sent.contains(&batch) || batch.reports.is_empty(), "the same bytes twice: {batch:?}");
        assert!(sent.len() < 100, "it goes on and on");
        sent.push(batch.clone());
        if accepts(&batch) {
            refusals.accepted(&batch);
            for (id, report) in batch.reports {
                mirror.reports.insert(id.clone(), Mark { fence: report.fence.clone(), stage: report.stage });
                there.insert(id, report);
            }
        } else {
            refusals.refused(&batch, now);
        }
    }
    (sent.len(), there)
}

/// P13.
#[test]
fn a_refused_report_is_found_and_shrinks_and_the_others_are_written() {
    let reports = reports(0..32, 10);
    let is_poisoned = |id: &str| id == "005" || id == "030";
    let whole =
        |report: &AssignmentReport| report.ended.as_ref().and_then(|ended| ended.output.as_ref()).is_some_and(|output| !output.truncated);
    let (writes, there) = write_all(&reports, |batch| !batch.reports.iter().any(|(id, report)| is_poisoned(id) && whole(report)));
    assert_eq!(there.len(), 32);
    for (id, report) in &there {
        let output = report.ended.as_ref().and_then(|ended| ended.output.as_ref()).expect("a guest ran");
        assert_eq!((output.exit_code, output.truncated), (Some(3), is_poisoned(id)), "{id}");
    }
    assert!(writes <= 25, "{writes} writes");
}

#[test]
fn a_report_that_is_refused_in_every_form_is_left_alone_and_the_others_are_written() {
    let reports = reports(0..9, 10);
    let (_, there) = write_all(&reports, |batch| !batch.reports.iter().any(|(id, _)| id == "004"));
    assert_eq!(there.len(), 8);
}

#[test]
fn where_nothing_is_accepted_nothing_shrinks_and_nothing_is_sent_for_a_while() {
    let (reports, now) = (reports(0..1, 10), Instant::now());
    let (mut refusals, mut removing) = (Refusals::default(), None);
    let mut at = |refusals: &mut Refusals, after| next(&mirror(&[]), &wanted(&reports), refusals, &mut removing, now + after);
    for expected in [(1, 0), (0, 0)] {
        let batch = at(&mut refusals, Duration::ZERO).expect("something is sent");
        assert_eq!(sizes(Some(&batch)), Some(expected), "the report, then a write without it");
        refusals.refused(&batch, now);
    }
    assert_eq!(at(&mut refusals, Duration::from_secs(59)), None);
    let again = at(&mut refusals, Duration::from_mins(1)).expect("it is tried again");
    assert_eq!(again.reports, reports, "as it was");
}

/// P4.
#[test]
fn a_write_tests_what_it_is_built_on() {
    let other = Mirror { agent: "other".to_owned(), ..mirror(&[]) };
    let batch = Batch { reports: reports(1..2, 0), remove: vec!["a/b~c".to_owned()], node: Some(state(2)) };
    let operations = operations(&other, "me", &batch);
    let said: Vec<_> = operations.iter().map(|operation| format!("{} {}", operation["op"], operation["path"]).replace('"', "")).collect();
    let expected = [
        "test /metadata/uid",
        "test /status/agent",
        "test /status/sequence",
        "replace /status/agent",
        "replace /status/sequence",
        "remove /status/reports/a~1b~0c",
        "add /status/reports/001",
        "add /status/running",
    ];
    assert_eq!(said, expected);
    let values: Vec<_> = operations[..5].iter().map(|operation| operation["value"].clone()).collect();
    assert_eq!(values, [json!("u"), json!("other"), json!(7), json!("me"), json!(8)]);
}

/// Files for ConfigMaps wait until the operator has taken others back; what has none goes on.
#[test]
fn the_object_never_holds_more_files_than_an_object_can() {
    use crds::report::{ByteString, ConfigMapFiles};
    let with_files = |id: usize| {
        let id = format!("{id:03}");
        let mut report = report(&id, 0);
        let files = BTreeMap::from([("a".to_owned(), ByteString(vec![0; (16 << 10) - 1]))]);
        let ended = report.ended.as_mut().expect("it has ended");
        ended.config_maps = vec![ConfigMapFiles { output: "outputs".to_owned(), files }];
        (id, report)
    };
    let mut all: Vec<_> = (0..40).map(with_files).collect();
    all.extend(reports(40..41, 10));
    let now = Instant::now();
    let mut there = Vec::new();
    // Each write has one of them, or what is small.
    while let Some(batch) = next(&mirror(&there), &wanted(&all), &mut Refusals::default(), &mut None, now) {
        there.extend(batch.reports.into_iter().map(|(id, _)| id));
    }
    assert_eq!(there.len(), 24, "23 of 22 KiB, and the one without: {there:?}");
    assert!(there.contains(&"040".to_owned()));
    // The operator has taken five of them back.
    let left: Vec<_> = all.into_iter().filter(|(id, _)| !there[..5].contains(id)).collect();
    let batch = next(&mirror(&there[5..]), &wanted(&left), &mut Refusals::default(), &mut None, now).expect("there is room");
    assert_eq!(batch.reports.len(), 1);
}

/// A CRD of an earlier version.
#[test]
fn what_the_server_drops_is_not_written_again() {
    let status = |public_key: Option<&str>| {
        let ready = ready("AgentReady", "", None, Timestamp::UNIX_EPOCH);
        json!({ "agent": "me", "sequence": 8, "running": 0, "publicKey": public_key.unwrap_or_default(), "conditions": [ready] })
    };
    let batch = Batch { node: Some(state(0)), ..Batch::default() };
    for (public_key, expected) in [(Some("key"), true), (None, false)] {
        let node = json!({
            "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmNode", "metadata": { "name": "n", "uid": "u" }, "spec": {},
            "status": status(public_key),
        });
        let node = serde_json::from_value(node).expect("a node");
        let (mirror, kept) = Mirror::after(&node, &batch);
        assert_eq!(kept, expected);
        assert_eq!(next(&mirror, &wanted(&[]), &mut Refusals::default(), &mut None, Instant::now()), None, "{public_key:?}");
        // Whoever reads it anew writes it once more.
        let again = next(&Mirror::of(&node), &wanted(&[]), &mut Refusals::default(), &mut None, Instant::now());
        assert_eq!(again.is_none(), expected);
    }
}
