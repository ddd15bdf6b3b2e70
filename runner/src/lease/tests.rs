use super::Deadline;

#[test]
fn a_new_deadline_has_passed_and_only_ever_grows() {
    let deadline = Deadline::new().unwrap();
    assert!(deadline.passed());
    deadline.extend_to(u64::MAX);
    deadline.extend_to(1);
    assert!(!deadline.passed());
}
