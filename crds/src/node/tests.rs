use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::{AssignmentReport, EndedReport, ReportStage, WasmNodeSpec, WasmNodeStatus};
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
    }
}

/// Only digests have rules among the parts of a report, so that one pattern stands for all of them.
#[test]
fn reports_have_patterns_in_place_of_rules() {
    fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                assert!(!fields.contains_key("x-kubernetes-validations"), "{fields:?}");
                found.extend(fields.get("pattern").and_then(Value::as_str));
                fields.values().for_each(|field| texts(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            _ => {}
        }
    }
    let schema = schema();
    let mut found = Vec::new();
    texts(&schema["properties"]["status"]["properties"]["reports"]["additionalProperties"], &mut found);
    found.sort_unstable();
    assert_eq!(found, ["^[A-Z][A-Za-z0-9]*$", "^sha256:[0-9a-f]{64}$", "^sha256:[0-9a-f]{64}$"]);
}
