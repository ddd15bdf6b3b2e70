//! The rules of both definitions that a write can break, evaluated here since asking CEL for each of some million writes takes too long.
//! A test holds both against each other.

use serde_json::{Map, Value};

use super::super::without::{Rule, Without};
use super::Kind;

/// What is wrong with the new version of an object.
pub(crate) fn violations(kind: Kind, before: Option<&Value>, after: &Value, without: Without) -> Vec<&'static str> {
    let mut found = Vec::new();
    let nothing = Value::Null;
    let before = before.unwrap_or(&nothing);
    match kind {
        Kind::Node => {
            if without.keeps(Rule::P4Counters) {
                found.extend(counters(before, after));
            }
            if !entries_stay(&before["spec"]["assignments"], &after["spec"]["assignments"]) {
                found.push("an entry never changes");
            }
            found.extend(sizes(after));
        }
        Kind::Job => {
            let (old, new) = (&before["status"], &after["status"]);
            if old["run"].as_i64().is_some_and(|run| new["run"].as_i64().is_none_or(|next| next < run)) {
                found.push("run only grows");
            }
            if without.keeps(Rule::P9Final) && !end_is_final(old, new) {
                found.push("the end of a run is final");
            }
            if old["runGeneration"].is_i64() && what_to_run(&before["spec"]) != what_to_run(&after["spec"]) {
                found.push("what to run cannot change once the job has run");
            }
            if before["spec"]["cancel"] == true && after["spec"]["cancel"] != true {
                found.push("cancel can only become true");
            }
        }
        Kind::Lease | Kind::KubeNode => {}
    }
    found
}

fn counters(before: &Value, after: &Value) -> Option<&'static str> {
    let back = ["/spec/epoch", "/spec/sequence", "/status/sequence"].into_iter().any(|counter| {
        let number = |object: &Value| object.pointer(counter).and_then(Value::as_i64);
        number(before) > number(after)
    });
    back.then_some("a counter never goes back")
}

fn entries_stay(before: &Value, after: &Value) -> bool {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return true };
    before.iter().all(|(id, old)| {
        let (Some(new), Some(old)) = (after.get(id), old.as_str()) else { return true };
        new == old || *new == crds::node::cancelled(old)
    })
}

/// Of the schema: as many entries as fit, reports that are no longer than a line may be.
fn sizes(after: &Value) -> Option<&'static str> {
    let empty = Map::new();
    let map = |pointer: &str| after.pointer(pointer).and_then(Value::as_object).unwrap_or(&empty);
    if ["/spec/assignments", "/status/reports"].into_iter().any(|pointer| map(pointer).len() > crds::node::MOST_ENTRIES) {
        return Some("too many entries");
    }
    let fits = |report: &Value| report.as_str().is_some_and(|line| line.chars().count() <= crds::node::REPORT_CHARACTERS);
    (!map("/status/reports").values().all(fits)).then_some("a report is not as the schema wants it")
}

fn end_is_final(old: &Value, new: &Value) -> bool {
    if old["completionTime"].is_null() {
        return true;
    }
    if let (Some(old), Some(new)) = (old["run"].as_i64(), new["run"].as_i64())
        && new > old
    {
        return true;
    }
    let fields = ["completionTime", "active", "succeeded", "failed", "output", "results"];
    fields.into_iter().all(|field| old[field] == new[field]) && ends(old).iter().all(|end| ends(new).contains(end))
}

/// The conditions that tell how it ended: type, status, reason.
pub(crate) fn ends(status: &Value) -> Vec<(&str, &str, &str)> {
    status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|condition| Some((condition["type"].as_str()?, condition["status"].as_str()?, condition["reason"].as_str()?)))
        .filter(|(type_, _, _)| ["Finished", "Complete", "Failed"].contains(type_))
        .collect()
}

/// The half of the spec that is settled by the first status. The jobs here use only these fields of it.
fn what_to_run(spec: &Value) -> (&Value, &Value) {
    (&spec["module"], &spec["args"])
}
