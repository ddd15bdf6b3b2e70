//! How long jobs are in the phases that the operator sees.

use super::*;
use crate::state::Phase;

/// What was told since, with whole seconds.
fn told(state: &mut State) -> Vec<(Phase, u64)> {
    state.take_phases().into_iter().map(|(phase, took)| (phase, took.as_secs())).collect()
}

#[test]
fn each_phase_is_told_once_with_its_time() {
    let mut state = leader(&[]);
    let mut carve = named("a", 0);
    see(&mut state, &carve, at(1));
    // No node is there, which its status is told after a second.
    for second in [1, 3] {
        for action in decide(&mut state, at(second)) {
            let Action::WriteStatus(write) = action else { panic!("{action:?}") };
            carve = Job { resource_version: carve.resource_version + 1, status: Seen::Unfinished(write.status), ..carve };
            let outcome = StatusOutcome::Written(Box::new(carve.clone()));
            state.observe(Event::StatusWritten { uid: carve.uid.clone(), outcome }, at(second));
        }
        decide(&mut state, at(second));
    }
    assert_eq!(told(&mut state), []);

    state.observe(Event::Lease { node: "n1".into(), lease: lease(1, "n1") }, at(5));
    state.observe(Event::Node { name: "n1".into(), object: Box::new(node("n1", 1, json!({}), json!({}))) }, at(5));
    assert_eq!(given(&decide(&mut state, at(6))).len(), 1);
    assert_eq!(told(&mut state), [(Phase::Queue, 5)]);

    // The first write fails its test: that is no assignment, and the job waits anew.
    let failed = NodeOutcome::Stale(Some(Box::new(node("n1", 2, json!({}), json!({})))));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: failed }, at(8));
    assert_eq!(given(&decide(&mut state, at(8))).len(), 1);
    assert_eq!(told(&mut state), [(Phase::Queue, 0)]);
    let assigned = json!({ "uid-a-1-0-1": assignment(&carve, 1, FENCE) });
    let written = NodeOutcome::Written(Box::new(node("n1", 3, assigned.clone(), json!({}))));
    state.observe(Event::NodeWritten { node: "n1".into(), outcome: written }, at(11));
    assert_eq!(told(&mut state), [(Phase::Assign, 3)]);

    let end = json!({ "reason": "Completed", "finishTime": second(5) });
    let report = json!({ "uid-a-1-0-1": { "fence": FENCE, "stage": "Ended", "ended": end } });
    for version in [4, 5] {
        // Seen twice, once by a watch that the agent's next write woke.
        let object = Box::new(node("n1", version, assigned.clone(), report.clone()));
        state.observe(Event::Node { name: "n1".into(), object }, at(16 + version));
    }
    let actions = decide(&mut state, at(22));
    let [Action::WriteStatus(write)] = &actions[..] else { panic!("{actions:?}") };
    let status = Seen::Unfinished(write.status.clone());
    let ended = Job { resource_version: carve.resource_version + 1, status, ..carve.clone() };
    let outcome = StatusOutcome::Written(Box::new(ended));
    state.observe(Event::StatusWritten { uid: carve.uid.clone(), outcome: outcome.clone() }, at(27));
    state.observe(Event::StatusWritten { uid: carve.uid.clone(), outcome }, at(30));
    assert_eq!(told(&mut state), [(Phase::Report, 7)]);
}
