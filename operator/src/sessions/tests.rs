use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Parser as _;
use crds::secret::{Granted, Part, Reach, S3Use, SecretUse};
use secrecy::ExposeSecret as _;

use super::{Sessions, Sts};
use crate::action::SecretsRead;
use crate::config::Config;
use crate::secrets::Outcome;

#[test]
fn a_store_is_a_url_or_two() {
    let rows = [
        ("http://minio:9000", Some(("http://minio:9000/", "http://minio:9000/"))),
        ("https://s3.example.com=https://sts.example.com/x", Some(("https://s3.example.com/", "https://sts.example.com/x"))),
        ("minio:9000", None),
        ("http://minio:9000=", None),
        ("ftp://x", None),
        ("", None),
    ];
    for (text, expected) in rows {
        let read = text.parse::<Sts>().ok();
        let said = read.as_ref().map(|sts| (sts.store.as_str(), sts.sts.as_str()));
        assert_eq!(said, expected, "{text}");
    }
}

fn read(endpoints: &[Option<&str>]) -> SecretsRead {
    let of = |endpoint: Option<&str>| {
        let used =
            S3Use { bucket: "data".to_owned(), region: None, endpoint: endpoint.map(str::to_owned), reach: Reach::Object("k".to_owned()) };
        SecretUse { field: "spec.module".to_owned(), name: "s".to_owned(), part: Part::Credentials(used), optional: false }
    };
    let uses: Arc<[SecretUse]> = endpoints.iter().copied().map(of).collect();
    SecretsRead { namespace: "team-a".into(), name: "carve".into(), uid: "uid".into(), run: 1, attempt: 1, uses, renews: None }
}

/// The store is one that nobody listens at: who is asked does not answer, who is not asked keeps what he has.
#[tokio::test]
async fn only_the_stores_that_were_named_are_asked_for_sessions() {
    const NAMED: &str = "http://127.0.0.1:1";
    let sessions = Sessions::new(&Config::parse_from(["operator", "--sts-endpoint", NAMED]));
    let rows = [
        (vec![Some(NAMED)], None, true),
        (vec![Some("http://127.0.0.1:1/"), None], Some(NAMED), true),
        (vec![None], Some(NAMED), true),
        (vec![None], None, false),
        (vec![Some("http://127.0.0.1:2")], Some(NAMED), false),
        (vec![Some("https://127.0.0.1:1")], None, false),
        (vec![Some(NAMED), Some("http://127.0.0.1:2")], None, false),
    ];
    for (endpoints, own, is_asked) in rows {
        let mut values = BTreeMap::from([("accessKeyId", "A"), ("secretAccessKey", "hunter2")]);
        values.extend(own.map(|own| ("endpoint", own)));
        let values = values.into_iter().map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec().into())).collect();
        let mut granted = Granted { stores: BTreeMap::from([("s".to_owned(), values)]), ..Granted::default() };
        let opened = sessions.open(&read(&endpoints), &mut granted).await;
        assert_eq!(matches!(opened, Err(Outcome::Unanswered(_))), is_asked, "{endpoints:?} {own:?}: {opened:?}");
        let kept = granted.stores["s"]["secretAccessKey"].expose_secret() == b"hunter2";
        assert!(kept, "{endpoints:?}");
    }
}
