use crds::job::{Layout, S3Publish};

use super::Destination;

#[test]
fn every_attempt_has_a_prefix_of_its_own_unless_it_is_flat() {
    let rows = [
        (None, None, None, "1-0-2-ab/"),
        (Some("{namespace}/{job}/"), None, None, "team-a/carve/1-0-2-ab/"),
        (Some("x-{job}-{job}-"), None, None, "x-carve-carve-1-0-2-ab/"),
        (Some("r/"), None, Some("plots"), "r/1-0-2-ab/plots/"),
        (Some("r/"), Some(Layout::Attempt), Some("plots"), "r/1-0-2-ab/plots/"),
        (None, Some(Layout::Flat), None, ""),
        (Some("{job}/"), Some(Layout::Flat), Some("plots"), "carve/plots/"),
        (Some("{run}.{index}.{attempt}/"), Some(Layout::Flat), None, "1.0.2/"),
    ];
    for (prefix, layout, output, expected) in rows {
        let publish = S3Publish { bucket: "results".to_owned(), prefix: prefix.map(str::to_owned), layout, ..S3Publish::default() };
        let destination =
            Destination { publish: &publish, namespace: "team-a", job: "carve", run: 1, index: 0, attempt: 2, fence: "ab", output };
        assert_eq!(destination.prefix(), expected, "{prefix:?} {layout:?} {output:?}");
    }
}
