use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{RunState, of_run};
use crate::reason::Reason;
use crate::status::tests::{ended, second};

const GENERATION: i64 = 4;

fn pending() -> RunState<'static> {
    RunState::Pending { message: "waiting for a free slot" }
}

fn running() -> RunState<'static> {
    RunState::Running { since: second(1), message: "fetching the module" }
}

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// What kstatus makes of an object (`GetStatusAndReason` there): a generation that was not observed, then Reconciling, then Stalled, then
/// Ready; with none of these it is Current at once, which for a job would be a lie.
fn kstatus(conditions: &[Condition], observed: i64, generation: i64) -> &'static str {
    let is = |type_: &str, status: &str| find(conditions, type_).is_some_and(|condition| condition.status == status);
    match () {
        () if observed != generation => "InProgress",
        () if is("Reconciling", "True") => "InProgress",
        () if is("Stalled", "True") => "Failed",
        () if is("Ready", "False") || is("Ready", "Unknown") => "InProgress",
        () => "Current",
    }
}

/// `kubectl wait --for=condition=TYPE`: status True, of the current generation.
fn waits_over(conditions: &[Condition], type_: &str, observed: i64, generation: i64) -> bool {
    observed >= generation
        && find(conditions, type_).is_some_and(|condition| {
            condition.status == "True" && condition.observed_generation.is_none_or(|observed| observed >= generation)
        })
}

#[test]
fn every_reader_sees_the_truth() {
    let success = ended(Reason::Completed);
    let failures: Vec<_> = Reason::ALL
        .into_iter()
        .filter(|reason| !matches!(reason, Reason::Pending | Reason::Running | Reason::Completed | Reason::NetworkDenied))
        .map(|reason| (reason, ended(reason)))
        .collect();
    let mut rows = vec![
        (pending(), Reason::Pending, "InProgress", vec![]),
        (running(), Reason::Running, "InProgress", vec![]),
        (RunState::Ended(&success), Reason::Completed, "Current", vec!["Finished", "Complete", "Ready"]),
    ];
    rows.extend(failures.iter().map(|(reason, report)| (RunState::Ended(report), *reason, "Failed", vec!["Finished", "Failed"])));
    for (state, reason, seen, over) in rows {
        let conditions = of_run(&state, GENERATION, second(9), &[]);
        assert_eq!(kstatus(&conditions, GENERATION, GENERATION), seen, "{state:?}");
        assert_eq!(kstatus(&conditions, GENERATION, GENERATION + 1), "InProgress", "a changed spec is in progress again: {state:?}");
        for type_ in ["Finished", "Complete", "Failed", "Ready"] {
            assert_eq!(waits_over(&conditions, type_, GENERATION, GENERATION), over.contains(&type_), "{type_}: {state:?}");
            assert!(!waits_over(&conditions, type_, GENERATION, GENERATION + 1), "{type_}: {state:?}");
        }
        assert_eq!(find(&conditions, "Finished").map(|finished| finished.reason.as_str()), Some(reason.name()));
    }
}

#[test]
fn conditions_are_well_formed() {
    let success = ended(Reason::Completed);
    let mut failure = ended(Reason::Trap);
    failure.outcome.message = "unreachable\u{1b}[31m ".repeat(500);
    for state in [pending(), running(), RunState::Ended(&success), RunState::Ended(&failure)] {
        let conditions = of_run(&state, GENERATION, second(9), &[]);
        for condition in &conditions {
            assert_eq!(condition.observed_generation, Some(GENERATION), "{condition:?}");
            assert!(!condition.reason.is_empty() && !condition.message.is_empty(), "{condition:?}");
            assert!(condition.message.len() <= 1024 && !condition.message.contains('\u{1b}'), "{condition:?}");
            let only_when_true = ["Complete", "Failed", "Reconciling", "Stalled"].contains(&condition.type_.as_str());
            assert!(!only_when_true || condition.status == "True", "{condition:?}");
        }
        let types: std::collections::BTreeSet<&str> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types.len(), conditions.len(), "a list-map by type");
    }
}

#[test]
fn transition_times_change_only_with_status() {
    let times = |conditions: &[Condition]| -> Vec<(String, Timestamp)> {
        conditions.iter().map(|condition| (condition.type_.clone(), condition.last_transition_time.0)).collect()
    };
    let named =
        |rows: &[(&str, i64)]| -> Vec<(String, Timestamp)> { rows.iter().map(|(type_, at)| ((*type_).to_owned(), second(*at))).collect() };
    let report = ended(Reason::Trap);
    let first = of_run(&pending(), 1, second(1), &[]);
    assert_eq!(times(&first), named(&[("Finished", 1), ("Ready", 1), ("Reconciling", 1)]));
    let next = of_run(&running(), 1, second(2), &first);
    assert_eq!(times(&next), named(&[("Finished", 1), ("Ready", 1), ("Reconciling", 1)]));
    let last = of_run(&RunState::Ended(&report), 1, second(3), &next);
    assert_eq!(times(&last), named(&[("Finished", 3), ("Failed", 3), ("Ready", 3), ("Stalled", 3)]));
    assert_eq!(of_run(&RunState::Ended(&report), 1, second(4), &last), last, "nothing is written that did not change");
}
