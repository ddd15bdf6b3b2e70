use std::collections::BTreeMap;

use crds::reason::Reason;
use crds::secret::{Part, Reach, S3Use, SecretUse};
use secrecy::ExposeSecret as _;

use super::{Found, grant};

fn secret(values: &[(&str, &[u8])]) -> Found {
    Found::There(values.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec().into())).collect())
}

fn found() -> BTreeMap<String, Found> {
    let keys = [("accessKeyId", &b"A"[..]), ("secretAccessKey", b"S"), ("endpoint", b"https://s"), ("other", b"o")];
    let all = [
        ("there", secret(&[("a", b"1"), ("b", b"\xff")])),
        ("empty", secret(&[])),
        ("large", secret(&[("a", &[b'x'; 8 << 10])])),
        ("s3", secret(&keys)),
        ("half", secret(&keys[..1])),
        ("blank", secret(&[("accessKeyId", b"A"), ("secretAccessKey", b"")])),
        ("none", Found::Missing),
        ("not-granted", Found::Forbidden),
    ];
    BTreeMap::from(all.map(|(name, found)| (name.to_owned(), found)))
}

fn of(name: &str, part: Part, optional: bool) -> SecretUse {
    SecretUse { field: "spec.env[X].valueFrom".to_owned(), name: name.to_owned(), part, optional }
}

fn key(key: &str) -> Part {
    Part::Key(key.to_owned())
}

fn s3() -> Part {
    Part::Credentials(S3Use { bucket: "b".to_owned(), region: None, endpoint: None, reach: Reach::Object("k".to_owned()) })
}

#[test]
fn a_run_is_given_what_its_spec_names_and_no_more() {
    let rows = [
        (vec![of("there", key("a"), false)], "there: a=1"),
        (vec![of("there", key("a"), false), of("there", key("c"), true)], "there: a=1"),
        (vec![of("there", Part::All, false)], "there: a=1 b=\u{fffd}"),
        (vec![of("none", key("a"), true), of("empty", Part::All, false)], "empty:"),
        (vec![of("s3", s3(), false)], "s3: accessKeyId=A endpoint=https://s secretAccessKey=S"),
    ];
    for (uses, expected) in rows {
        let granted = grant("team-a", &uses, &found()).expect(expected);
        let mut said = Vec::new();
        for (name, values) in granted.secrets.iter().chain(&granted.stores) {
            let values = values.iter().map(|(key, value)| format!(" {key}={}", String::from_utf8_lossy(value.expose_secret())));
            said.push(format!("{name}:{}", values.collect::<String>()));
        }
        assert_eq!(said, [expected]);
    }
    let both = grant("team-a", &[of("s3", s3(), false), of("s3", key("other"), false)], &found()).expect("all is there");
    assert_eq!((both.secrets["s3"].len(), both.stores["s3"].len()), (1, 3), "a guest is not shown the credentials beside it");
}

#[test]
fn what_a_run_cannot_be_given_says_what_to_do() {
    use Reason::{CredentialDenied, InvalidSpec};
    let rows = [
        (
            of("not-granted", key("a"), false),
            CredentialDenied,
            true,
            "kubectl -n team-a create role wasmjob-secret-not-granted --verb=get --resource=secrets --resource-name=not-granted && kubectl -n team-a create rolebinding wasmjob-secret-not-granted --role=wasmjob-secret-not-granted --serviceaccount=wasmjob-system:wasmjob-operator",
        ),
        // Whether it is there is not known, so it cannot be left out.
        (of("not-granted", key("a"), true), CredentialDenied, true, "was not granted Secret \"not-granted\""),
        (of("none", key("a"), false), CredentialDenied, true, "there is no Secret \"none\" in namespace team-a"),
        (of("there", key("c"), false), CredentialDenied, true, "Secret \"there\" has no key \"c\": it has a, b"),
        (of("empty", key("c"), false), CredentialDenied, true, "it has none"),
        (of("half", s3(), false), CredentialDenied, true, "no key \"secretAccessKey\""),
        (of("blank", s3(), false), CredentialDenied, true, "no key \"secretAccessKey\""),
        (of("large", Part::All, false), InvalidSpec, false, "at most 8192 travel to a node"),
    ];
    for (one, reason, may_settle, message) in rows {
        let refusal = grant("team-a", std::slice::from_ref(&one), &found()).expect_err("it cannot");
        assert_eq!((refusal.reason, refusal.may_settle), (reason, may_settle), "{one:?}");
        assert!(refusal.message.contains(message), "{refusal}");
        assert!(refusal.message.starts_with("spec.env[X].valueFrom: ") || reason == InvalidSpec, "{refusal}");
    }
}
