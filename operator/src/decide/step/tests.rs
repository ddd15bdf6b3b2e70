use crds::reason::Reason;
use crds::status::WasmJobStatus;
use serde_json::{Value, json};

use super::{Step, Work, with_work, without_work};
use crate::fixtures::{FENCE, ended, entry, job, job_with, running, second};
use crate::observe::{Entry, Job, Reported};

fn kind(step: &Step) -> String {
    match step {
        Step::Wait(None) => "wait".to_owned(),
        Step::Wait(Some(until)) => format!("wait until {}", until.as_second() - 1_700_000_000),
        Step::Write { status, live } => {
            let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").expect("always there");
            let live = if *live { " live" } else { "" };
            format!("write {} {}{live}", finished.status, finished.reason)
        }
        other => format!("{other:?}").to_lowercase(),
    }
}

fn status_of(step: Step) -> WasmJobStatus {
    match step {
        Step::Write { status, .. } => *status,
        other => panic!("{other:?} writes nothing"),
    }
}

/// What the job is after a write of this step.
fn after(job: &Job, spec: Value, step: Step) -> Job {
    let mut next = job_with(spec, Some(&status_of(step)));
    next.resource_version = job.resource_version + 1;
    next
}

/// A job after its attempt 1 ended so, with these fields of the spec.
fn tried(spec: &Value, reason: Reason) -> Job {
    let fresh = job(spec.clone());
    let report = ended(reason);
    let work = Work {
        node: "n1",
        entry: &entry(&fresh, 1),
        report: Some(&report),
        given_up: false,
        is_sealed_to_another: false,
        unpublished: None,
    };
    after(&fresh, spec.clone(), with_work(&fresh, &work, second(14)))
}

/// Its deadline is before its retry.
fn slow() -> Value {
    json!({ "backoffLimit": 1, "retryBackoff": { "initialSeconds": 60 }, "activeDeadlineSeconds": 16 })
}

#[test]
fn a_job_without_work_waits_for_what_its_spec_says() {
    let rows = [
        (job(json!({})), 5, "enqueue"),
        (job(json!({ "suspend": true })), 5, "write False Suspended"),
        (job(json!({ "cancel": true })), 5, "write True Cancelled live"),
        (job(json!({ "cancel": true, "suspend": true })), 5, "write True Cancelled live"),
        (job(json!({ "activeDeadlineSeconds": 5 })), 4, "enqueue"),
        (job(json!({ "activeDeadlineSeconds": 5 })), 5, "write True DeadlineExceeded live"),
        (job(json!({ "activeDeadlineSeconds": 5, "suspend": true })), 50, "write False Suspended"),
        (tried(&json!({ "backoffLimit": 1 }), Reason::Trap), 20, "wait until 23"),
        (tried(&json!({ "backoffLimit": 1 }), Reason::Trap), 23, "enqueue"),
        (tried(&slow(), Reason::Trap), 15, "wait until 26"),
        (tried(&slow(), Reason::Trap), 26, "write True DeadlineExceeded live"),
        (tried(&json!({ "ttlSecondsAfterFinished": 7 }), Reason::Completed), 19, "wait until 20"),
        (tried(&json!({ "ttlSecondsAfterFinished": 7 }), Reason::Completed), 20, "delete"),
        (tried(&json!({}), Reason::GuestExit), 1000, "wait"),
    ];
    for (job, now, expected) in rows {
        assert_eq!(kind(&without_work(&job, second(now))), expected, "{job:?} at {now}");
    }
}

#[test]
fn an_ended_job_only_follows_its_spec() {
    let mut edited = tried(&json!({ "ttlSecondsAfterFinished": 7 }), Reason::Completed);
    edited.generation += 1;
    assert_eq!(without_work(&edited, second(1000)), Step::Follow);
}

#[test]
fn a_resumed_job_has_all_of_its_time_again() {
    let spec = json!({ "activeDeadlineSeconds": 60, "suspend": true });
    let fresh = job(spec.clone());
    let suspended = after(&fresh, spec, without_work(&fresh, second(5)));
    assert_eq!(without_work(&suspended, second(500)), Step::Wait(None));

    let resumed = job_with(json!({ "activeDeadlineSeconds": 60 }), suspended.unfinished());
    let step = without_work(&resumed, second(500));
    assert_eq!(kind(&step), "write False Pending");
    let waiting = after(&resumed, json!({ "activeDeadlineSeconds": 60 }), step);
    assert_eq!(without_work(&waiting, second(559)), Step::Enqueue);
    assert_eq!(kind(&without_work(&waiting, second(560))), "write True DeadlineExceeded live");
}

type Row = (Value, Option<Reported>, bool, bool, &'static str);

#[test]
fn a_job_with_work_follows_what_is_reported() {
    let no = || json!({});
    let rows: Vec<Row> = vec![
        // spec, report, given up, cancel set, step
        (no(), None, false, false, "wait"),
        (json!({ "activeDeadlineSeconds": 60 }), None, false, false, "wait until 60"),
        (no(), Some(running()), false, false, "write False Running"),
        (no(), Some(ended(Reason::Completed)), false, false, "write True Completed"),
        (no(), Some(ended(Reason::GuestExit)), false, false, "write True GuestExit"),
        (json!({ "backoffLimit": 1 }), Some(ended(Reason::GuestExit)), false, false, "write False Pending"),
        (no(), Some(ended(Reason::FetchFailed)), false, false, "write False Pending"),
        (no(), Some(ended(Reason::Refused)), false, false, "releaseandavoid"),
        (no(), Some(ended(Reason::Disrupted)), false, false, "write False Pending"),
        // A cancellation that nobody asked us for ends no job (P16).
        (no(), Some(ended(Reason::Cancelled)), false, true, "write False Pending"),
        (json!({ "cancel": true }), None, false, false, "cancel"),
        (json!({ "cancel": true }), None, false, true, "wait"),
        (json!({ "cancel": true }), Some(ended(Reason::Cancelled)), false, true, "write True Cancelled"),
        (json!({ "cancel": true }), Some(ended(Reason::Completed)), false, true, "write True Completed"),
        (json!({ "suspend": true }), Some(running()), false, false, "cancel"),
        (json!({ "suspend": true }), Some(ended(Reason::Cancelled)), false, true, "write False Suspended"),
        (json!({ "suspend": true }), Some(ended(Reason::GuestExit)), false, true, "write True GuestExit"),
        (json!({ "activeDeadlineSeconds": 9 }), Some(running()), false, false, "cancel"),
        (json!({ "activeDeadlineSeconds": 9 }), Some(ended(Reason::Cancelled)), false, true, "write True DeadlineExceeded"),
        // A node that was given up (P10): what it has not reported is lost, what it has counts.
        (no(), None, true, false, "write False Pending"),
        (no(), Some(running()), true, false, "write False Pending"),
        (no(), Some(ended(Reason::Completed)), true, false, "write True Completed"),
        (json!({ "cancel": true }), None, true, true, "write True Cancelled"),
    ];
    for (spec, report, given_up, cancel, expected) in rows {
        let job = job(spec.clone());
        let mut entry = entry(&job, 1);
        entry.cancel = cancel;
        let step = with_work(
            &job,
            &Work { node: "n1", entry: &entry, report: report.as_ref(), given_up, is_sealed_to_another: false, unpublished: None },
            second(14),
        );
        assert_eq!(kind(&step), expected, "{spec} {report:?}");
    }
}

#[test]
fn what_is_folded_is_taken_back_and_counts_once() {
    let spec = json!({ "backoffLimit": 3 });
    let tried = tried(&spec, Reason::Trap);
    let report = ended(Reason::Trap);
    let work = Work {
        node: "n1",
        entry: &entry(&tried, 1),
        report: Some(&report),
        given_up: false,
        is_sealed_to_another: false,
        unpublished: None,
    };
    assert_eq!(with_work(&tried, &work, second(15)), Step::Release, "its fence is in status (P7)");

    let status = tried.unfinished().expect("it is tried again");
    assert_eq!((status.folded.as_slice(), status.retries[0].failures), (&[FENCE.to_owned()][..], 1));
    assert_eq!((status.run_generation, status.spec_hash.as_deref()), (Some(3), Some(tried.spec_hash.hex().as_str())));
    assert_eq!(status.attempts.iter().map(|attempt| (attempt.attempt, attempt.reason.as_str())).collect::<Vec<_>>(), [(1, "Trap")]);
}

#[test]
fn an_ended_job_takes_back_what_has_ended_and_cancels_the_rest() {
    let done = tried(&json!({}), Reason::Completed);
    let rows = [
        (None, false, false, Step::Cancel),
        (None, false, true, Step::Wait(None)),
        (Some(running()), false, true, Step::Wait(None)),
        (Some(ended(Reason::Cancelled)), false, true, Step::Release),
        (None, true, false, Step::Release),
    ];
    for (report, given_up, cancel, expected) in rows {
        let mut entry = entry(&done, 1);
        entry.cancel = cancel;
        let work = Work { node: "n1", entry: &entry, report: report.as_ref(), given_up, is_sealed_to_another: false, unpublished: None };
        assert_eq!(with_work(&done, &work, second(20)), expected, "{report:?}");
    }
}

/// Before the first status a changed spec is not the one that was assigned (P2).
#[test]
fn an_entry_of_another_spec_is_cancelled_and_not_counted() {
    let before = job(json!({}));
    let edited = job(json!({ "args": ["x"] }));
    let mut entry = entry(&before, 1);
    let step = |entry: &Entry, report: Option<Reported>| {
        with_work(
            &edited,
            &Work { node: "n1", entry, report: report.as_ref(), given_up: false, is_sealed_to_another: false, unpublished: None },
            second(14),
        )
    };
    assert_eq!(step(&entry, None), Step::Cancel);
    entry.cancel = true;
    assert_eq!(step(&entry, Some(ended(Reason::Cancelled))), Step::Release);
    assert_eq!(step(&entry, Some(ended(Reason::Completed))), Step::Release);
}

#[test]
fn the_last_of_several_failures_says_how_often() {
    let spec = json!({ "backoffLimit": 1 });
    let tried = tried(&spec, Reason::Trap);
    let mut second_entry = entry(&tried, 2);
    second_entry.fence = "fedcba9876543210fedcba9876543210".into();
    let mut report = ended(Reason::GuestExit);
    report.fence = second_entry.fence.clone();
    let status = status_of(with_work(
        &tried,
        &Work { node: "n2", entry: &second_entry, report: Some(&report), given_up: false, is_sealed_to_another: false, unpublished: None },
        second(30),
    ));
    let finished = &status.conditions[0];
    assert_eq!(
        (finished.reason.as_str(), finished.message.as_str()),
        ("BackoffLimitExceeded", "failed 2 times, backoffLimit is 1; the last: GuestExit: do something about it")
    );
    let attempts: Vec<_> = status.attempts.iter().map(|attempt| (attempt.attempt, attempt.node_name.as_deref())).collect();
    assert_eq!(attempts, [(2, Some("n2")), (1, Some("n1"))]);
    assert_eq!(status.start_time.map(|time| time.0), Some(second(10)), "the run started with its first attempt");
}

/// Once, of the attempt that ends the job; one that cannot be made ends it too.
#[test]
fn a_result_becomes_a_config_map_when_it_is_the_jobs_end() {
    let spec = json!({
        "backoffLimit": 1,
        "outputs": [{ "name": "a", "publish": [{ "configMap": { "name": "{job}-{run}" } }] }],
    });
    let fresh = job(spec.clone());
    let tried = tried(&spec, Reason::Trap);
    let with_files = |reason: Reason| {
        let mut report = ended(reason);
        let ended = report.ended.as_mut().expect("it has ended");
        let digest = crds::digest::Digest::of(b"");
        let result = json!({ "name": "a", "sizeBytes": 1, "files": 1, "digest": digest });
        ended.results = vec![serde_json::from_value(result).expect("a result")];
        ended.config_maps = serde_json::from_value(json!([{ "output": "a", "files": { "stdout": "aGVsbG8=" } }])).expect("files");
        report
    };
    let rows = [
        ("a success", &fresh, 1, with_files(Reason::Completed), None, "publish True Completed configmap://team-a/carve-1"),
        ("a failure that is tried again", &fresh, 1, with_files(Reason::Trap), None, "write False Pending"),
        ("the last failure", &tried, 2, with_files(Reason::Trap), None, "publish True BackoffLimitExceeded configmap://team-a/carve-1"),
        ("a killed guest", &tried, 2, ended(Reason::MemoryLimit), None, "write True BackoffLimitExceeded"),
        ("a report that was shrunk", &fresh, 1, ended(Reason::Completed), None, "write True PublishFailed"),
        ("one that is there", &fresh, 1, with_files(Reason::Completed), Some("it is there"), "write True PublishFailed"),
        ("of a failure", &tried, 2, with_files(Reason::Trap), Some("it is there"), "write True BackoffLimitExceeded"),
    ];
    for (what, job, attempt, report, unpublished, expected) in rows {
        let fence = format!("{attempt}{}", &FENCE[1..]);
        let entry = Entry { fence: fence.as_str().into(), ..entry(job, attempt) };
        let work = Work { node: "n1", entry: &entry, report: Some(&report), given_up: false, is_sealed_to_another: false, unpublished };
        let said = match with_work(job, &work, second(14)) {
            Step::Publish { status, config_maps } => {
                assert_eq!((&*config_maps.fence, config_maps.maps.len()), (fence.as_str(), 1), "{what}");
                let uri = status.results[0].uri.clone().unwrap_or_default();
                let kind = kind(&Step::Write { status, live: false });
                format!("{} {uri}", kind.replace("write", "publish"))
            }
            step => {
                let said = kind(&step);
                let status = status_of(step);
                let told = status.conditions.iter().any(|condition| condition.message.contains(unpublished.unwrap_or_default()));
                assert!(told && status.results.iter().all(|result| result.uri.is_none()), "{what}: {status:?}");
                said
            }
        };
        assert_eq!(said, expected, "{what}");
    }
}
