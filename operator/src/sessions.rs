//! Sessions of S3 stores in place of credentials: AWS STS, AssumeRole, with an inline policy that allows what the run has to do and no more.
//!
//! Only stores that the administrator named are asked, each at the STS that he named: credentials are shown to nobody else.

mod policy;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use crds::reason::Reason;
use crds::secret::{Granted, Part, S3Use, SecretUse, Values, credentials};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::action::SecretsRead;
use crate::config::Config;
use crate::secrets::{Outcome, Refusal};

pub use self::policy::{Attempt, policy};

/// How long a store may take to open a session.
const WITHIN: Duration = Duration::from_secs(5);

/// A store that opens sessions, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sts {
    store: Url,
    sts: Url,
}

/// Opens sessions.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    sts: Vec<Sts>,
    role_arn: String,
    seconds: u32,
    http: SharedHttpClient,
}

/// An argument that names no store.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no http or https URL of a store, nor two of them with = between")]
pub struct NoStore(String);

// === impl Sts ===

impl FromStr for Sts {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        let (store, sts) = text.split_once('=').unwrap_or((text, text));
        let url = |text: &str| Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        match (url(store), url(sts)) {
            (Some(store), Some(sts)) => Ok(Self { store, sts }),
            _ => Err(NoStore(text.to_owned())),
        }
    }
}

// === impl Sessions ===

impl Sessions {
    pub(crate) fn new(config: &Config) -> Self {
        let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        Self { sts: config.sts.clone(), role_arn: config.sts_role_arn.clone(), seconds: config.session_seconds, http }
    }

    /// Puts sessions in the place of credentials, where there are any for a store that opens them.
    ///
    /// # Errors
    /// A store refused, or did not answer. Credentials are not handed out instead.
    pub(crate) async fn open(&self, read: &SecretsRead, granted: &mut Granted) -> Result<(), Outcome> {
        for (name, values) in &mut granted.stores {
            let places: Vec<(&SecretUse, &S3Use)> = read
                .uses
                .iter()
                .filter(|one| one.name == *name)
                .filter_map(|one| match &one.part {
                    Part::Credentials(used) => Some((one, used)),
                    Part::Key(_) | Part::All => None,
                })
                .collect();
            let Some((sts, (first, used))) = self.of(&places, values).zip(places.first()) else { continue };
            let attempt = Attempt { namespace: &read.namespace, job: &read.name, run: read.run, index: 0, number: read.attempt };
            let policy = policy(places.iter().map(|(_, used)| *used), &attempt);
            *values = self.assume(sts, values, used, &policy, read).await.map_err(|why| why.outcome(&first.field))?;
        }
        Ok(())
    }

    /// The STS of the store that all of them are about. A Secret that is used for several stores keeps what it holds.
    fn of(&self, uses: &[(&SecretUse, &S3Use)], values: &Values) -> Option<&Sts> {
        let own = values.get(credentials::ENDPOINT).and_then(|value| std::str::from_utf8(value.expose_secret()).ok()).map(str::trim);
        let endpoint = |used: &S3Use| used.endpoint.as_deref().or(own).and_then(|endpoint| Url::parse(endpoint).ok());
        self.sts.iter().find(|sts| uses.iter().all(|(_, used)| endpoint(used).is_some_and(|url| is_same(&url, &sts.store))))
    }

    async fn assume(&self, sts: &Sts, values: &Values, used: &S3Use, policy: &str, read: &SecretsRead) -> Result<Values, NotOpened> {
        let text = |key: &str| values.get(key).and_then(|value| std::str::from_utf8(value.expose_secret()).ok()).map(str::trim);
        let needed = |key: &str| text(key).ok_or_else(|| NotOpened::Refused(format!("its {key} is no text")));
        let token = text(credentials::SESSION_TOKEN).filter(|token| !token.is_empty()).map(str::to_owned);
        let keys = Credentials::new(needed(credentials::ACCESS_KEY_ID)?, needed(credentials::SECRET_ACCESS_KEY)?, token, None, "Secret");
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .region(Region::new(used.region.clone().unwrap_or_else(|| "us-east-1".to_owned())))
            .endpoint_url(sts.sts.as_str())
            .credentials_provider(keys)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(WITHIN).build())
            .build();
        let request = aws_sdk_sts::Client::from_conf(config).assume_role().role_arn(&self.role_arn);
        let seconds = i32::try_from(self.seconds).unwrap_or(i32::MAX);
        let request = request.role_session_name(session_name(read)).duration_seconds(seconds).policy(policy);
        let answer = request.send().await.map_err(|error| match &error {
            SdkError::ServiceError(service) if (400..500).contains(&service.raw().status().as_u16()) => {
                let said = [service.err().code(), service.err().message()];
                NotOpened::Refused(said.into_iter().flatten().collect::<Vec<_>>().join(": "))
            }
            // What other errors say may be of the request.
            _ => NotOpened::Unanswered,
        })?;
        let session = answer.credentials.ok_or(NotOpened::Unanswered)?;
        let expiration = jiff::Timestamp::from_second(session.expiration.secs()).map_err(|_| NotOpened::Unanswered)?;
        let mut values = BTreeMap::from([
            (credentials::ACCESS_KEY_ID.to_owned(), session.access_key_id.into_bytes().into()),
            (credentials::SECRET_ACCESS_KEY.to_owned(), session.secret_access_key.into_bytes().into()),
            (credentials::SESSION_TOKEN.to_owned(), session.session_token.into_bytes().into()),
            (credentials::EXPIRATION.to_owned(), expiration.to_string().into_bytes().into()),
        ]);
        if let Some(endpoint) = text(credentials::ENDPOINT) {
            values.insert(credentials::ENDPOINT.to_owned(), endpoint.as_bytes().to_vec().into());
        }
        Ok(values)
    }
}

/// Why there is no session.
enum NotOpened {
    Refused(String),
    Unanswered,
}

impl NotOpened {
    fn outcome(self, field: &str) -> Outcome {
        match self {
            Self::Refused(why) => Outcome::Refused(Refusal {
                reason: Reason::CredentialDenied,
                message: format!("{field}: the store opens no session with these credentials: {why}"),
                may_settle: false,
            }),
            Self::Unanswered => Outcome::Unanswered(format!("{field}: the store's STS did not answer as one")),
        }
    }
}

fn is_same(one: &Url, other: &Url) -> bool {
    let parts = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    parts(one) == parts(other) && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
}

/// Of 2 to 64 letters, digits and some signs: the store's own records tell by it whose session it was.
fn session_name(read: &SecretsRead) -> String {
    let name = format!("wasmjob-{}-{}-{}", read.namespace, read.name, read.attempt);
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.')).take(64).collect()
}

#[cfg(test)]
mod tests;
