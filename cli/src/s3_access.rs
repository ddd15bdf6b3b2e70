//! Credentials, region and endpoint for S3, from AWS's usual variables and profile files.
//!
//! Never asks a metadata service unless a profile says so by name: on a laptop that is a long wait for nothing. No credentials at all
//! means unsigned requests, which public buckets answer.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_http_client::tls;
use crds::job::WhatToRun;
use runner::fetch::s3::S3Access;

use crate::args::RunArgs;
use crate::config::Environment;

/// Credentials that are configured but cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("unable to load AWS credentials: {reason}; correct the profile, or unset it for unsigned requests")]
pub(crate) struct Error {
    reason: String,
}

/// Whether the job touches S3 at all: where it does not, no profile is read and none can be wrong.
pub(crate) fn needs_s3(what: &WhatToRun) -> bool {
    what.module.s3.is_some()
        || what.inputs.iter().any(|input| input.s3.is_some())
        || what.outputs.iter().flatten().flat_map(|output| &output.publish).any(|publish| publish.s3.is_some())
}

/// Flags outrank variables, variables outrank the profile.
pub(crate) async fn s3_access(flags: &RunArgs, environment: &Environment) -> Result<S3Access, Error> {
    let profile = flags.profile.clone().or_else(|| environment.profile.clone());
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client()).no_credentials();
    if let Some(profile) = &profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &flags.s3_region {
        loader = loader.region(Region::new(region.clone()));
    }
    let shared = loader.load().await;
    let of_environment = environment.s3_endpoint.clone().filter(|_| !environment.ignore_configured_endpoints);
    Ok(S3Access {
        credentials: credentials(profile, flags.profile.is_some(), shared.region().cloned()).await?,
        region: shared.region().map(ToString::to_string),
        endpoint: flags
            .s3_endpoint
            .as_ref()
            .map(ToString::to_string)
            .or(of_environment)
            .or_else(|| shared.endpoint_url().map(str::to_owned)),
        signs_everywhere: true,
        ..S3Access::default()
    })
}

/// Variables, then the profile; the profile alone where a flag names it.
async fn credentials(
    profile: Option<String>,
    profile_first: bool,
    region: Option<Region>,
) -> Result<Option<SharedCredentialsProvider>, Error> {
    let config = ProviderConfig::without_region().with_http_client(http_client()).with_region(region);
    let mut of_profile = ProfileFileCredentialsProvider::builder().configure(&config);
    if let Some(profile) = &profile {
        of_profile = of_profile.profile_name(profile);
    }
    let of_profile = of_profile.build();
    let provider = if profile_first {
        SharedCredentialsProvider::new(of_profile)
    } else {
        let variables = EnvironmentVariableCredentialsProvider::new();
        SharedCredentialsProvider::new(CredentialsProviderChain::first_try("Environment", variables).or_else("Profile", of_profile))
    };
    match provider.provide_credentials().await {
        Ok(_) => Ok(Some(provider)),
        Err(CredentialsError::CredentialsNotLoaded(_)) => match profile {
            None => Ok(None),
            Some(profile) => Err(Error { reason: format!("no AWS configuration file has credentials for profile {profile:?}") }),
        },
        Err(error) => Err(Error { reason: DisplayErrorContext(&error).to_string() }),
    }
}

/// For profiles that assume a role.
fn http_client() -> aws_sdk_s3::config::SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
}
