//! What a reader of the status finds.

use crds::condition::RunState;
use crds::reason::Reason;
use crds::status::Run;

use super::*;

fn status() -> WasmJobStatus {
    let report = crate::exit::never_ran(Reason::FetchNotFound, "no: \"such\" file", jiff::Timestamp::UNIX_EPOCH);
    WasmJobStatus::of_run(
        &Run { number: 1, generation: 1, state: RunState::Ended(&report), attempt: 1, node_name: None },
        report.finish_time,
        None,
    )
}

#[test]
fn the_name_decides_between_yaml_and_json() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let [yaml, json] = ["s.yaml", "s.JSON"].map(|name| directory.path().join(name));
    for path in [&yaml, &json] {
        std::fs::write(path, "an older and much longer status\n".repeat(1000)).expect("the place is writable");
        write(path, &status()).expect("the place is writable");
    }
    let [yaml, json] = [yaml, json].map(|path| std::fs::read_to_string(path).expect("it was written"));
    let expected = serde_json::to_value(status()).expect("a status is JSON");
    assert_eq!(crds::yaml::read(&yaml).expect("it is YAML"), std::slice::from_ref(&expected));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("it is JSON"), expected);
    let left = std::fs::read_dir(directory.path()).expect("it is there").count();
    assert_eq!(left, 2, "no temporary file is left");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let error = write(Path::new("/nonexistent/s.yaml"), &status()).expect_err("there is no such directory");
    assert!(error.to_string().starts_with("unable to write the status to \"/nonexistent/s.yaml\": "), "{error}");
}
