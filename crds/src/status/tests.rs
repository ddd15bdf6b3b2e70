use jiff::Timestamp;
use serde_json::json;

use super::{Run, WasmJobStatus, duration_text};
use crate::condition::RunState;
use crate::crd;
use crate::digest::Digest;
use crate::reason::Reason;
use crate::report::{Durations, ModuleKind, ModuleReport, NetworkDenied, Outcome, Report, ResultReport, StreamReport, Usage};

pub(crate) fn second(number: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + number).expect("a second of this century")
}

/// A run that ended for this reason.
pub(crate) fn ended(reason: Reason) -> Report {
    let message = if reason == Reason::Completed { String::new() } else { format!("ended with {reason}; do something about it") };
    Report {
        outcome: Outcome { reason, exit_code: Some(i32::from(reason != Reason::Completed)), message },
        module: Some(ModuleReport { digest: Digest::from_bytes([7; 32]), size_bytes: 45_000, kind: ModuleKind::Component }),
        stdout: StreamReport { tail: "Removing seam 0\n".to_owned(), bytes: 16, truncated: false },
        stderr: StreamReport::default(),
        results: vec![ResultReport {
            name: "plots".to_owned(),
            uri: Some("s3://results/a/".to_owned()),
            more_uris: vec!["ipfs://bafy/".to_owned()],
            size_bytes: 27_603,
            files: 5,
            digest: Digest::from_bytes([9; 32]),
        }],
        config_maps: Vec::new(),
        absent_inputs: vec!["maybe".to_owned()],
        network_denied: vec![NetworkDenied { call: "sock_send".to_owned(), times: 3 }],
        start_time: second(10),
        finish_time: second(13),
        durations: Durations {
            fetch_milliseconds: 1,
            compile_milliseconds: 2,
            instantiate_microseconds: 3,
            run_milliseconds: 4,
            publish_milliseconds: 5,
        },
        usage: Usage { cpu_milliseconds: 6, peak_memory_bytes: 7, fuel_consumed: Some(8) },
    }
}

fn status(state: RunState<'_>) -> WasmJobStatus {
    WasmJobStatus::of_run(&Run { number: 2, generation: 4, state, attempt: 1, node_name: None }, second(20), None)
}

fn valid(status: &WasmJobStatus) -> bool {
    let definition = crd::wasm_jobs();
    let schema = &crd::strict(crd::schema(&definition))["properties"]["status"];
    let status = serde_json::to_value(status).expect("a status is JSON");
    let validator = jsonschema::draft7::new(schema).expect("a schema");
    for error in validator.iter_errors(&status) {
        eprintln!("{}: {error:.300}", error.instance_path());
    }
    validator.is_valid(&status)
}

#[test]
fn the_status_of_an_ended_run_says_all_of_it() {
    let mut status = status(RunState::Ended(&ended(Reason::Completed)));
    assert!(valid(&status));
    status.conditions.clear();
    let digest = |byte: u8| Digest::from_bytes([byte; 32]).to_string();
    let expected = json!({
        "observedGeneration": 4,
        "run": 2,
        "startTime": "2023-11-14T22:13:30Z",
        "completionTime": "2023-11-14T22:13:33Z",
        "durationText": "3.0s",
        "active": 0,
        "succeeded": 1,
        "failed": 0,
        "completionsText": "1/1",
        "module": { "digest": digest(7), "sizeBytes": 45_000, "kind": "Component" },
        "output": { "exitCode": 0, "stdoutTail": "Removing seam 0\n", "stderrTail": "", "truncated": false },
        "results": [{ "name": "plots", "uri": "s3://results/a/", "moreUris": ["ipfs://bafy/"], "sizeBytes": 27_603, "files": 5, "digest": digest(9) }],
        "attempts": [{
            "attempt": 1,
            "reason": "Completed",
            "exitCode": 0,
            "startTime": "2023-11-14T22:13:30Z",
            "finishTime": "2023-11-14T22:13:33Z",
            "durations": { "fetchMilliseconds": 1, "compileMilliseconds": 2, "instantiateMicroseconds": 3, "runMilliseconds": 4, "publishMilliseconds": 5 },
            "usage": { "cpuMilliseconds": 6, "peakMemoryBytes": 7, "fuelConsumed": 8 },
        }],
        "absentInputs": ["maybe"],
        "networkDenied": [{ "call": "sock_send", "times": 3 }],
    });
    assert_eq!(serde_json::to_value(&status).expect("a status is JSON"), expected);
}

#[test]
fn a_run_is_counted_where_it_stands() {
    let (success, failure) = (ended(Reason::Completed), ended(Reason::Timeout));
    let rows = [
        (RunState::Pending { message: "waiting" }, (Some(1), None, None, None), "0/1", None),
        (RunState::Running { since: second(3), message: "running" }, (None, Some(1), None, None), "0/1", Some(second(3))),
        (RunState::Ended(&success), (None, Some(0), Some(1), Some(0)), "1/1", Some(second(10))),
        (RunState::Ended(&failure), (None, Some(0), Some(0), Some(1)), "0/1", Some(second(10))),
    ];
    for (state, counts, text, start) in rows {
        let status = status(state);
        assert!(valid(&status), "{state:?}");
        assert_eq!((status.pending, status.active, status.succeeded, status.failed), counts, "{state:?}");
        assert_eq!((status.completions_text.as_deref(), status.start_time.map(|time| time.0)), (Some(text), start), "{state:?}");
    }
}

/// A guest and a server that want to fill the API server.
#[test]
fn a_status_stays_small_whatever_a_guest_prints() {
    let noise =
        ["\"".repeat(100_000), "\u{0}".repeat(100_000), "\u{1b}\u{10ffff}".repeat(50_000), "\\\n".repeat(50_000), "é\"".repeat(50_000)];
    for noise in noise {
        let mut report = ended(Reason::GuestExit);
        report.outcome.message.clone_from(&noise);
        report.stdout = StreamReport { tail: noise.clone(), bytes: u64::MAX, truncated: true };
        report.stderr = report.stdout.clone();
        let result = ResultReport {
            name: noise.clone(),
            uri: Some(noise.clone()),
            more_uris: vec![noise.clone(); 2],
            size_bytes: u64::MAX,
            files: u64::MAX,
            digest: Digest::from_bytes([0; 32]),
        };
        report.results = vec![result; 1000];
        report.absent_inputs = vec![noise.clone(); 1000];
        report.network_denied = vec![NetworkDenied { call: noise.clone(), times: u64::MAX }; 1000];
        let status = status(RunState::Ended(&report));
        let size = serde_json::to_vec(&status).expect("a status is JSON").len();
        assert!(size <= 64 * 1024, "{size} bytes of {:?}", noise.chars().next());
        assert!(valid(&status), "{:?}", noise.chars().next());
        assert!(status.output.expect("a guest ran").truncated);
    }
}

/// What nobody else has is on the node that ran it; the command line has none.
#[test]
fn an_output_that_is_published_nowhere_is_kept_on_its_node() {
    for (uri, node, expected) in [
        (None, Some("n1"), Some("n1")),
        (None, None, None),
        (Some("s3://results/a/"), Some("n1"), None),
        (Some("ipfs://bafy/"), None, None),
    ] {
        let mut report = ended(Reason::GuestExit);
        report.results[0].uri = uri.map(str::to_owned);
        let run = Run { number: 1, generation: 1, state: RunState::Ended(&report), attempt: 1, node_name: node };
        let status = WasmJobStatus::of_run(&run, second(20), None);
        assert!(valid(&status));
        assert_eq!(status.results[0].kept_on.as_deref(), expected, "{uri:?} {node:?}");
    }
}

#[test]
fn a_status_is_the_same_until_something_changes() {
    let report = ended(Reason::Trap);
    let run = Run { number: 1, generation: 1, state: RunState::Ended(&report), attempt: 1, node_name: None };
    let first = WasmJobStatus::of_run(&run, second(20), None);
    assert_eq!(WasmJobStatus::of_run(&run, second(30), Some(&first)), first);
    let read: WasmJobStatus = serde_json::from_value(serde_json::to_value(&first).expect("a status is JSON")).expect("and back");
    assert_eq!(read, first);
}

#[test]
fn durations_are_short() {
    let rows = [
        (0, "0ms"),
        (41, "41ms"),
        (999, "999ms"),
        (1000, "1.0s"),
        (3290, "3.2s"),
        (59_999, "59.9s"),
        (125_000, "2m5s"),
        (3_720_000, "1h2m"),
        (273_600_000, "3d4h"),
        (-5, "0ms"),
    ];
    for (milliseconds, expected) in rows {
        let end = Timestamp::from_millisecond(second(0).as_millisecond() + milliseconds).expect("a time of this century");
        assert_eq!(duration_text(second(0), end), expected);
    }
}
