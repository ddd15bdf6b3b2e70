use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Seen;

fn metadata(uid: &str, version: &str) -> ObjectMeta {
    ObjectMeta { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()), ..ObjectMeta::default() }
}

#[test]
fn an_older_answer_of_the_same_object_is_a_restored_backup() {
    let mut seen = Seen::default();
    // (what is seen, whether it is news, a live answer after it, whether that is a restored backup)
    let rows = [
        (metadata("a", "10"), true, metadata("a", "10"), false),
        (metadata("a", "9"), false, metadata("a", "9"), true),
        (metadata("a", "11"), true, metadata("a", "12"), false),
        (metadata("a", "11"), false, metadata("b", "3"), false),
        // Longer numbers are not smaller.
        (metadata("a", "100"), true, metadata("a", "99"), true),
        (metadata("b", "5"), true, metadata("a", "4"), false),
    ];
    for (event, news, answer, restored) in rows {
        assert_eq!(seen.saw(&event), news, "{event:?}");
        assert_eq!(seen.is_older(&answer), restored, "{answer:?} after {event:?}");
    }
}
