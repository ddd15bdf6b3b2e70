use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;

use super::{Error, S3Credentials};

const TWO: &str = r"
- name: results
  namespaces: [team-a, team-b]
  endpoint: https://minio.example.com:9000
  accessKeyId: KEY-A
  secretAccessKey: secret
- {name: archive, namespaces: [team-c], region: eu-central-1, accessKeyId: KEY-C, secretAccessKey: s, sessionToken: t}
";

/// Its key and session, endpoint and region, as jobs of a namespace have them.
async fn access(credentials: &S3Credentials, namespace: &str) -> (Option<(String, bool)>, Option<String>, Option<String>) {
    let access = credentials.of(namespace);
    let key = match access.credentials {
        Some(provider) => {
            let known = provider.provide_credentials().await.expect("they are there");
            Some((known.access_key_id().to_owned(), known.session_token().is_some()))
        }
        None => None,
    };
    (key, access.endpoint, access.region)
}

#[tokio::test]
async fn each_namespace_has_what_the_administrator_gave_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s3.yaml");
    std::fs::write(&path, TWO).expect("a disk");
    let credentials = S3Credentials::open(Some(&path)).expect("it is good");
    let key = |key: &str, session| Some((key.to_owned(), session));
    let endpoint = Some("https://minio.example.com:9000".to_owned());
    assert_eq!(access(&credentials, "team-b").await, (key("KEY-A", false), endpoint, None));
    assert_eq!(access(&credentials, "team-c").await, (key("KEY-C", true), None, Some("eu-central-1".to_owned())));
    assert_eq!(access(&credentials, "team-d").await, (None, None, None));

    // A change counts at once; one that cannot be understood does not.
    let rewrite = |text: &str, seconds: u64| {
        std::fs::write(&path, text).expect("a disk");
        let file = std::fs::File::options().write(true).open(&path).expect("it is there");
        file.set_modified(SystemTime::now() + Duration::from_secs(seconds)).expect("a clock");
    };
    rewrite(&TWO.replace("team-b", "team-d"), 1);
    assert_eq!((access(&credentials, "team-b").await.0, access(&credentials, "team-d").await.0), (None, key("KEY-A", false)));
    rewrite("not a list", 2);
    assert_eq!(access(&credentials, "team-d").await.0, key("KEY-A", false));
    assert_eq!(S3Credentials::open(None).expect("there is none").of("team-a").endpoint, None);
}

#[test]
fn a_bad_file_is_refused_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s3.yaml");
    let rows = [
        "- {name: a, namespaces: [x], accessKeyId: K, secretAccessKey: hidden, colour: red}",
        "- {name: a, namespaces: x, accessKeyId: K, secretAccessKey: hidden}",
        "- {name: a, accessKeyId: K, secretAccessKey: hidden}",
        "- name: a\n  secretAccessKey: hidden\n   accessKeyId: K",
        "hidden",
    ];
    for text in rows {
        std::fs::write(&path, text).expect("a disk");
        let error = S3Credentials::open(Some(&path)).map(|_| ()).expect_err(text);
        assert!(matches!(error, Error::Understand { .. }), "{error:?}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
    let twice = "- &a {name: a, namespaces: [x, y], accessKeyId: K, secretAccessKey: s}\n- {name: b, namespaces: [y], accessKeyId: K, secretAccessKey: s}";
    std::fs::write(&path, twice).expect("a disk");
    let error = S3Credentials::open(Some(&path)).map(|_| ()).expect_err("twice");
    assert!(matches!(&error, Error::Twice { namespace, .. } if namespace == "y"), "{error:?}");
    assert!(S3Credentials::open(Some(&folder.path().join("none"))).is_err());
}
