use crds::report::Durations;

use super::Metrics;

#[test]
fn what_was_counted_is_told() {
    let metrics = Metrics::default();
    metrics.wrote("WasmNode/status", "written");
    metrics.wrote("WasmNode/status", "written");
    metrics.ended("Completed");
    metrics.running(3);
    metrics.batch(5);
    metrics.began_anew("the Lease lapsed");
    let fetched = Durations { fetch_milliseconds: 3, ..Durations::default() };
    metrics.phases(&fetched, false, false);
    metrics.phases(&Durations { compile_milliseconds: 40, instantiate_microseconds: 9, run_milliseconds: 1500, ..fetched }, true, false);
    let text = metrics.text();
    let expected = [
        "wasmjob_agent_api_writes_total{kind=\"WasmNode/status\",outcome=\"written\"} 2",
        "wasmjob_agent_attempts_ended_total{reason=\"Completed\"} 1",
        "wasmjob_agent_attempts_running 3",
        "wasmjob_agent_report_batch_size_sum 5.0",
        "wasmjob_agent_report_batch_size_bucket{le=\"8.0\"} 1",
        "wasmjob_agent_restarts_total{why=\"the Lease lapsed\"} 1",
        // One attempt did not come through its first phase; nothing was published.
        "wasmjob_phase_seconds_count{phase=\"fetch\"} 1",
        "wasmjob_phase_seconds_sum{phase=\"run\"} 1.5",
        "wasmjob_phase_seconds_bucket{le=\"0.032\",phase=\"compile\"} 0",
        "wasmjob_phase_seconds_bucket{le=\"0.064\",phase=\"compile\"} 1",
    ];
    for line in expected {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
