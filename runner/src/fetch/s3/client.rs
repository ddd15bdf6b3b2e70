//! A client for one S3 store: explicit credentials, rustls with ring, no proxy, no retries of its own, only checked addresses.

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::{Client, Config};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use crds::reason::Reason;
use url::Url;

use crate::failure::Failure;
use crate::fetch::FetchLimits;
use crate::fetch::address::AddressPolicy;

/// Which store a client speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) region: String,
    pub(crate) endpoint: Option<String>,
}

// === impl Target ===

impl Target {
    /// Refuses what would lead somewhere else than it seems to. Literals are judged here, names when they are looked up.
    pub(crate) fn check(&self, addresses: &AddressPolicy) -> Result<(), Failure> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.is_empty() || self.region.len() > 32 || !self.region.chars().all(plain) {
            return Err(invalid(format!("s3.region: {:?} is no region; write for example eu-central-1", self.region)));
        }
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        let refused = |why: &str| invalid(format!("s3.endpoint: {why}; write for example https://minio.example.com:9000"));
        let url = Url::parse(endpoint).map_err(|e| refused(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::new(Reason::FetchDenied, "s3.endpoint: only http and https are reached"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("a user name, password, query or fragment does not belong in it"));
        }
        addresses.check_url(&url).map_err(|why| Failure::new(Reason::FetchDenied, format!("s3.endpoint: {why}")))
    }
}

/// Whether two endpoints are one store's; without an endpoint it is AWS.
pub(crate) fn is_same_store(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    let parts = |url: &str| {
        let url = Url::parse(url).ok()?;
        let path = url.path().trim_end_matches('/').to_owned();
        Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default(), path))
    };
    parts(one).is_some_and(|one| parts(other) == Some(one))
}

/// Refuses bucket names that S3 does not allow, and with them ARNs and anything that changes a URL.
pub(crate) fn check_bucket_name(name: &str) -> Result<(), Failure> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let fits = (3..=63).contains(&name.len())
        && name.chars().all(inner)
        && outer(name.chars().next())
        && outer(name.chars().next_back())
        && !name.contains("..");
    if fits {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(invalid(format!("s3.bucket: {shown:?} is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")))
}

fn invalid(message: String) -> Failure {
    Failure::new(Reason::InvalidSpec, message)
}

/// Connections for any number of clients.
pub(crate) fn http(addresses: &AddressPolicy) -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_with_resolver(CheckedNames(addresses.clone()))
}

pub(crate) fn build(
    target: &Target,
    credentials: Option<SharedCredentialsProvider>,
    http: SharedHttpClient,
    limits: &FetchLimits,
) -> Client {
    let timeouts = TimeoutConfig::builder().connect_timeout(limits.connect_timeout).build();
    let builder = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(target.region.clone()))
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        // Wants one byte per second; our own guard wants more, and covers bodies too.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        .force_path_style(target.endpoint.is_some());
    let builder = match credentials {
        Some(credentials) => builder.credentials_provider(credentials),
        None => builder.allow_no_auth(),
    };
    let builder = match &target.endpoint {
        Some(endpoint) => builder.endpoint_url(endpoint),
        None => builder,
    };
    Client::from_conf(builder.build())
}

/// Looks names up and lets only those through whose every address may be reached.
#[derive(Clone, Debug)]
struct CheckedNames(AddressPolicy);

impl ResolveDns for CheckedNames {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move {
            let addresses = self.0.resolve(name).await.map_err(ResolveDnsError::new)?;
            Ok(addresses.into_iter().map(|address| address.ip()).collect())
        })
    }
}
