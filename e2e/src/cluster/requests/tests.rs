//! Counts are read as the API server writes them.

use super::*;

const METRICS: &str = r#"# HELP apiserver_request_total [STABLE] Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="wasmjob.dev",resource="wasmjobs",scope="resource",subresource="status",verb="PATCH",version="v1alpha1"} 12
apiserver_request_total{code="201",component="apiserver",dry_run="",group="wasmjob.dev",resource="wasmjobs",scope="resource",subresource="",verb="POST",version="v1alpha1"} 1.2e+06
apiserver_request_total{code="422",component="apiserver",dry_run="",group="wasmjob.dev",resource="wasmnodes",scope="resource",subresource="",verb="PATCH",version="v1alpha1"} 3
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="cluster",subresource="",verb="LIST",version="v1"} 4
apiserver_request_terminations_total{code="503"} 9
"#;

fn kind(verb: &str, group: &str, resource: &str, subresource: &str, code: u16) -> Kind {
    let [verb, group, resource, subresource] = [verb, group, resource, subresource].map(str::to_owned);
    Kind { verb, group, resource, subresource, code }
}

#[test]
fn counts_are_read_by_kind_and_only_accepted_writes_of_ours_are_writes() {
    let requests = parsed(METRICS);
    let expected = [
        (kind("LIST", "", "pods", "", 200), 4),
        (kind("PATCH", "wasmjob.dev", "wasmjobs", "status", 200), 12),
        (kind("PATCH", "wasmjob.dev", "wasmnodes", "", 422), 3),
        (kind("POST", "wasmjob.dev", "wasmjobs", "", 201), 1_200_000),
    ];
    assert_eq!(requests.0, expected.into_iter().collect());
    assert_eq!(requests.writes(), 1_200_012);
}

#[test]
fn what_came_between_two_counts_is_told_without_what_stayed() {
    let earlier = Requests([(kind("GET", "", "pods", "", 200), 5), (kind("PUT", "", "pods", "", 200), 1)].into());
    let later = Requests([(kind("GET", "", "pods", "", 200), 8), (kind("PUT", "", "pods", "", 200), 1)].into());
    assert_eq!(later.since(&earlier), Requests([(kind("GET", "", "pods", "", 200), 3)].into()));
}
