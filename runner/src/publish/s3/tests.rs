use crds::job::S3Publish;

use super::Destination;

#[test]
fn an_attempt_has_a_prefix_of_its_own() {
    for (prefix, expected) in
        [(None, "1-0-2-ab/"), (Some("{namespace}/{job}/"), "team-a/carve/1-0-2-ab/"), (Some("x-{job}-{job}-"), "x-carve-carve-1-0-2-ab/")]
    {
        let publish = S3Publish { bucket: "results".to_owned(), prefix: prefix.map(str::to_owned), region: None, endpoint: None };
        let destination =
            Destination { publish: &publish, namespace: "team-a", job: "carve", run: 1, index: 0, attempt: 2, fence: "ab", output: None };
        assert_eq!(destination.prefix(), expected);
    }
}
