use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{Assignment, AssignmentReport, EndedReport, Line as _, ReportStage, WasmNodeSpec, WasmNodeStatus, cancelled};
use crate::crd;
use crate::reason::Reason;
use crate::status::tests::{ended, second};

fn schema() -> Value {
    crd::schema(&crd::wasm_nodes()).clone()
}

#[test]
fn a_report_survives_the_way_through_the_api_server() {
    for reason in [Reason::Completed, Reason::GuestExit] {
        let report = ended(reason);
        let written = EndedReport::of(&report);
        assert!(written.output.is_some(), "a guest ran");
        let read: EndedReport = serde_json::from_value(serde_json::to_value(&written).expect("JSON")).expect("and back");
        assert_eq!(EndedReport::of(&read.report(Some(second(10)))), written);
        assert_eq!(read.report(Some(second(10))).outcome, report.outcome);
    }
}

/// Most jobs take less than a second, and `kubectl get` says how long.
#[test]
fn times_of_reports_keep_their_microseconds() {
    let time = |microsecond: i64| Time(jiff::Timestamp::from_microsecond(1_700_000_000_000_000 + microsecond).expect("of this century"));
    let mut ended = EndedReport::of(&ended(Reason::Completed));
    ended.finish_time = time(41_234);
    let report = AssignmentReport { fence: "f".to_owned(), stage: ReportStage::Ended, start_time: Some(time(1_000)), ended: Some(ended) };
    let read: AssignmentReport = serde_json::from_value(serde_json::to_value(&report).expect("JSON")).expect("and back");
    assert_eq!(read, report);
    let whole = json!({ "fence": "f", "stage": "Running", "startTime": "2023-11-14T22:13:20Z" });
    assert_eq!(serde_json::from_value::<AssignmentReport>(whole).expect("whole seconds are read too").start_time, Some(time(0)));
}

#[test]
fn a_reason_of_another_version_is_told() {
    let mut written = EndedReport::of(&ended(Reason::GuestExit));
    "SolarFlare".clone_into(&mut written.reason);
    let outcome = written.report(None).outcome;
    assert_eq!(outcome.reason, Reason::WorkerKilled);
    assert!(outcome.message.contains("SolarFlare"), "{}", outcome.message);
}

#[test]
fn what_is_left_of_a_refused_report_is_how_it_ended() {
    let mut report = EndedReport::of(&ended(Reason::GuestExit));
    report.message = "x".repeat(100_000);
    let shrunk = report.shrunk();
    assert_eq!((shrunk.reason.as_str(), shrunk.output.as_ref().and_then(|output| output.exit_code)), ("GuestExit", Some(1)));
    assert!(serde_json::to_string(&shrunk).expect("JSON").len() < 600);
}

#[test]
fn an_empty_node_is_what_a_patch_can_test() {
    let schema = schema();
    for (part, default) in [
        ("spec", serde_json::to_value(WasmNodeSpec::default()).expect("JSON")),
        ("status", serde_json::to_value(WasmNodeStatus::default()).expect("JSON")),
    ] {
        assert_eq!(schema["properties"][part]["default"], default, "{part}");
    }
}

/// What the API server's estimate of the rules' cost is made of (P4).
#[test]
fn both_maps_are_atomic_and_bounded() {
    let schema = schema();
    for (part, map) in [("spec", "assignments"), ("status", "reports")] {
        let map = &schema["properties"][part]["properties"][map];
        assert_eq!((&map["x-kubernetes-map-type"], &map["maxProperties"]), (&json!("atomic"), &json!(256)), "{part}");
        let rules = map["x-kubernetes-validations"].as_array().expect("there are rules");
        assert!(rules.iter().any(|rule| rule["rule"] == "self.all(key, size(key) <= 96)"), "{part}");
        assert!(map["additionalProperties"]["maxLength"].is_u64(), "{part}");
    }
}

/// An entry reads as it was written, with what another version put into it; one that is to end has a word before it (P4).
#[test]
fn entries_and_reports_are_lines() {
    let line = r#"{"job":{"namespace":"a","name":"b","uid":"u","run":1,"generation":1,"specHash":"h"},"attempt":1,"fence":"f","indexes":"0","color":"red"}"#;
    let spec: WasmNodeSpec = serde_json::from_value(json!({ "assignments": { "x": line, "y": cancelled(line) } })).expect("a spec");
    let (x, y) = (&spec.assignments["x"], &spec.assignments["y"]);
    assert_eq!((x.cancel, y.cancel, x.job == y.job), (false, true, true));
    assert_eq!((x.line(), y.line()), (line.to_owned(), format!("cancel {line}")));
    let written = Assignment { read_as: None, ..x.clone() }.line();
    assert_eq!(written, line.replace(r#","color":"red""#, ""));
    assert!(serde_json::from_value::<WasmNodeSpec>(json!({ "assignments": { "x": "{}" } })).is_err(), "an entry is not guessed");
}

/// Agents may be of another version, or hostile.
#[test]
fn a_report_that_cannot_be_read_is_about_no_entry() {
    let good = AssignmentReport { fence: "f".to_owned(), stage: ReportStage::Running, start_time: None, ended: None };
    let status = json!({ "reports": { "good": good.line(), "bad": "dancing", "other": r#"{"fence":"f","stage":"Dancing"}"# } });
    let status: WasmNodeStatus = serde_json::from_value(status).expect("one bad report does not hide the others");
    let fences: Vec<_> = status.reports.iter().map(|(id, report)| (id.as_str(), report.fence.as_str())).collect();
    assert_eq!(fences, [("bad", ""), ("good", "f"), ("other", "")]);
}
