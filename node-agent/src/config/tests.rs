use clap::Parser as _;

use super::{Config, Error, Flags};

/// The configuration that these flags make, besides a name and a UID.
fn of(flags: &[&str]) -> Result<Config, Error> {
    let all = ["wasmjob-agent", "--node-name", "n1", "--pod-uid", "u1"].iter().chain(flags);
    Config::of(Flags::try_parse_from(all).expect("the flags are flags"))
}

#[test]
fn flags_become_numbers() {
    let config = of(&["--memory", "3Gi", "--cpu", "1500m", "--slots", "8", "--default-memory", "64Mi", "--fence-seconds", "8.5"]);
    let config = config.expect("they are good");
    assert_eq!((config.memory_bytes, config.millicores, config.slots), (3 << 30, 1500, 8));
    assert_eq!((config.default_memory_bytes, config.timings.fence.as_millis()), (64 << 20, 8500));
    assert_eq!((config.namespace.as_str(), config.default_timeout), ("wasmjob-system", None));
}

#[test]
fn what_jobs_may_reach_is_what_the_flags_say() {
    let flags = [
        "--allow-network",
        "10.20.0.0/16",
        "--allow-host",
        "MinIO.storage.svc.cluster.local.",
        "--allow-port",
        "9000",
        "--require-digests",
        "*",
    ];
    let config = of(&flags).expect("they are good");
    assert!(config.addresses.check([10, 20, 1, 1].into()).is_ok() && config.addresses.check([10, 21, 1, 1].into()).is_err());
    assert!(
        config.addresses.check_name("minio.storage.svc.cluster.local").is_ok()
            && config.addresses.check_name("kubernetes.default.svc").is_err()
    );
    assert_eq!((config.addresses.allowed_ports, config.digests_required), (vec![9000], vec!["*".to_owned()]));
}

#[test]
fn what_cannot_work_is_refused() {
    let rows: [(&[&str], &str); 6] = [
        (&["--fence-seconds", "28"], "must be less than"),
        (&["--renew-seconds", "20"], "must be less than"),
        (&["--memory", "much"], "--memory"),
        (&["--cpu=-1"], "--cpu"),
        (&["--memory", "1Gi"], "--default-memory is more than --memory"),
        (&["--kept-outputs", "1e99"], "--kept-outputs"),
    ];
    for (flags, expected) in rows {
        let error = of(flags).expect_err("it cannot work").to_string();
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
    let named = |name| Config::of(Flags::try_parse_from(["wasmjob-agent", "--node-name", name, "--pod-uid", "u1"]).expect("flags"));
    assert!(matches!(named("wasmjob-operator"), Err(Error::NameOfOperator(_))));
    assert!(matches!(named(""), Err(Error::Nameless)));
}
