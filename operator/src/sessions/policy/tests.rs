use crds::secret::{Reach, S3Use};
use serde_json::{Value, json};

use super::{Attempt, policy};

#[test]
fn a_session_may_do_what_its_run_has_to() {
    let attempt = Attempt { namespace: "team-a", job: "carve", run: 2, index: 0, number: 3 };
    let publish = |prefix: &str, is_flat| Reach::Publish { prefix: prefix.to_owned(), is_flat };
    let rows = [
        (Reach::Object("a/b.wasm".to_owned()), json!([["s3:GetObject", "s3:GetObjectVersion"], "arn:aws:s3:::data/a/b.wasm"])),
        (
            Reach::Prefix("in/".to_owned()),
            json!([["s3:ListBucket"], "arn:aws:s3:::data", ["in/", "in/*"], ["s3:GetObject"], "arn:aws:s3:::data/in/*"]),
        ),
        (
            publish("{namespace}/{job}/{attempt}/", false),
            json!([
                ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                "arn:aws:s3:::data/team-a/carve/3/2-0-3-*"
            ]),
        ),
        (
            publish("r/", true),
            json!([["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], "arn:aws:s3:::data/r/*"]),
        ),
    ];
    for (reach, expected) in rows {
        let used = S3Use { bucket: "data".to_owned(), region: None, endpoint: None, reach };
        let written: Value = serde_json::from_str(&policy([&used].into_iter(), &attempt)).expect("JSON");
        let mut said = Vec::new();
        for statement in written["Statement"].as_array().expect("a list") {
            assert_eq!(statement["Effect"], "Allow");
            said.extend([statement["Action"].clone(), statement["Resource"][0].clone()]);
            said.extend(statement.pointer("/Condition/StringLike/s3:prefix").cloned());
        }
        assert_eq!(Value::Array(said), expected);
    }
}
