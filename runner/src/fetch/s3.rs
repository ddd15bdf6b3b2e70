//! S3 objects and prefixes → verified bytes: ranged parallel reads of one unchanging object, listings capped before anything is read.
//!
//! Credentials are passed in; nothing is looked for in the environment, in files or at a metadata service. Keys are opaque on the wire
//! and become paths only through the same check as any other name from outside.

pub(crate) mod client;
mod listing;
mod object;
pub(crate) mod refusal;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{SharedCredentialsProvider, SharedHttpClient};
use crds::reason::Reason;
use crds::secret::CredentialsSecretRef;
use crds::source::S3Source;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use self::client::Target;
use self::listing::Listed;
use self::object::{AT_ONCE, Object};
use super::address::AddressPolicy;
use super::path::file_name;
use super::retry::retrying;
use super::tree::{Tree, TreeError, TreeFile};
use super::{FetchLimits, Fetched, Progress, Want};
use crate::failure::Failure;
use crate::store::Store;

/// How S3 is reached, apart from what a spec says.
#[derive(Clone, Debug, Default)]
pub struct S3Access {
    /// `None`: requests are not signed, only public objects can be read.
    pub credentials: Option<SharedCredentialsProvider>,
    /// Where the spec names none; `us-east-1` without either.
    pub region: Option<String>,
    /// URL of a store that is not AWS, where the spec names none.
    pub endpoint: Option<String>,
    /// The credentials are the user's own, who runs the spec here: they sign for every store that it names, whatever Secret it names. Otherwise they belong to `endpoint` (to
    /// AWS without one), and what a spec asks of another store is not signed with them.
    pub signs_everywhere: bool,
    /// In place of all this for what names one of these Secrets.
    pub of_secrets: BTreeMap<String, SecretAccess>,
}

/// The credentials in a Secret.
#[derive(Clone, Debug)]
pub struct SecretAccess {
    pub credentials: SharedCredentialsProvider,
    /// The store that they belong to, where the Secret names it: they are used nowhere else.
    pub endpoint: Option<String>,
}

/// Clients for S3 stores, made as they are needed and sharing one pool of connections.
#[derive(Debug)]
pub(crate) struct S3 {
    reach: Arc<Reach>,
    access: S3Access,
    clients: Mutex<HashMap<(Target, Option<String>), Client>>,
}

/// What every access of this machine has in common. Connections carry no credentials: each request is signed by itself.
#[derive(Debug)]
struct Reach {
    limits: FetchLimits,
    addresses: AddressPolicy,
    http: OnceLock<SharedHttpClient>,
}

/// A bucket that can be asked, and how messages name what is in it.
pub(crate) struct Bucket {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) signed: bool,
    /// There are credentials, for another store.
    pub(crate) foreign: bool,
}

// === impl S3 ===

impl S3 {
    pub(crate) fn new(limits: FetchLimits, addresses: AddressPolicy, access: S3Access) -> Self {
        let reach = Arc::new(Reach { limits, addresses, http: OnceLock::new() });
        Self { reach, access, clients: Mutex::default() }
    }

    /// Over the same connections, with clients of its own.
    pub(crate) fn with_access(&self, access: S3Access) -> Self {
        Self { reach: Arc::clone(&self.reach), access, clients: Mutex::default() }
    }

    pub(crate) fn limits(&self) -> &FetchLimits {
        &self.reach.limits
    }

    /// One object, under its key.
    pub(crate) async fn file(&self, store: &Store, source: &S3Source, want: Want<'_>, progress: &Progress) -> Result<Fetched, Failure> {
        let Some(key) = source.key.as_deref().filter(|key| !key.is_empty()) else {
            return Err(Failure::new(Reason::InvalidSpec, "s3.key: it is missing; a module is one object"));
        };
        let bucket =
            self.bucket(&source.bucket, source.region.as_deref(), source.endpoint.as_deref(), source.credentials_secret_ref.as_ref())?;
        let object = Object { bucket: &bucket, key, version_id: source.version_id.as_deref(), limits: self.limits() };
        let object = &object;
        let blob = retrying(|| async move {
            let found = object.head().await?;
            object.read(store, &found, want, progress).await
        })
        .await?;
        Ok(Fetched { blob, name: file_name(key) })
    }

    /// Every object under a prefix.
    pub(crate) async fn tree(&self, store: &Store, source: &S3Source, progress: &Progress) -> Result<Tree, Failure> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let bucket =
            self.bucket(&source.bucket, source.region.as_deref(), source.endpoint.as_deref(), source.credentials_secret_ref.as_ref())?;
        let pattern = source.pattern.as_deref().map(listing::matcher).transpose()?;
        let listing = retrying(|| listing::list(&bucket, prefix, pattern.as_ref(), self.limits())).await?;
        let (small, large): (Vec<_>, Vec<_>) = listing.files.iter().partition(|file| file.found.size_bytes <= object::WHOLE_BYTES);
        // Small objects side by side; a large one has parallel ranges of its own. Either way memory holds little.
        let small: Vec<_> = small.into_iter().map(|file| self.listed(store, &bucket, file, progress).boxed()).collect();
        let mut files: Vec<_> = stream::iter(small).buffer_unordered(AT_ONCE).try_collect().await?;
        for file in large {
            files.push(self.listed(store, &bucket, file, progress).await?);
        }
        Tree::new(listing.directories, files).map_err(|error| bad_keys(&bucket.called(prefix), &error))
    }

    async fn listed(&self, store: &Store, bucket: &Bucket, file: &Listed, progress: &Progress) -> Result<TreeFile, Failure> {
        let object = Object { bucket, key: &file.key, version_id: None, limits: self.limits() };
        let want = Want { expected: None, max_bytes: file.found.size_bytes };
        let blob = retrying(|| object.read(store, &file.found, want, progress)).await?;
        Ok(TreeFile { path: file.path.clone(), blob })
    }

    /// The bucket as it is reached with what the spec, this machine and the Secret, where the spec names one, say.
    pub(crate) fn bucket(
        &self,
        name: &str,
        region: Option<&str>,
        endpoint: Option<&str>,
        secret: Option<&CredentialsSecretRef>,
    ) -> Result<Bucket, Failure> {
        client::check_bucket_name(name)?;
        let used = self.used(endpoint, secret)?;
        let region = region.or(used.region).unwrap_or("us-east-1").to_owned();
        let target = Target { region, endpoint: used.endpoint.map(str::to_owned) };
        target.check(&self.reach.addresses)?;
        let http = self.reach.http.get_or_init(|| client::http(&self.reach.addresses));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let (signed, foreign) = (used.credentials.is_some(), used.foreign);
        let client = clients
            .entry((target.clone(), secret.map(|secret| secret.name.clone())))
            .or_insert_with(|| client::build(&target, used.credentials, http.clone(), self.limits()))
            .clone();
        Ok(Bucket { client, name: name.to_owned(), endpoint: target.endpoint, signed, foreign })
    }

    /// Which credentials sign what is asked of this endpoint. What belongs to one store is never shown to another.
    fn used<'a>(&'a self, endpoint: Option<&'a str>, secret: Option<&CredentialsSecretRef>) -> Result<Used<'a>, Failure> {
        let access = &self.access;
        let Some(secret) = secret.filter(|_| !access.signs_everywhere) else {
            let endpoint = endpoint.or(access.endpoint.as_deref());
            let belongs = access.signs_everywhere || client::is_same_store(endpoint, access.endpoint.as_deref());
            let credentials = access.credentials.clone().filter(|_| belongs);
            let foreign = access.credentials.is_some() && !belongs;
            return Ok(Used { endpoint, region: access.region.as_deref(), credentials, foreign });
        };
        let own = access.of_secrets.get(&secret.name).ok_or_else(|| {
            let message = format!("s3.credentialsSecretRef: Secret {:?} was not given to this task", secret.name);
            Failure::new(Reason::CredentialDenied, message)
        })?;
        let endpoint = endpoint.or(own.endpoint.as_deref());
        let belongs = own.endpoint.is_none() || client::is_same_store(endpoint, own.endpoint.as_deref());
        Ok(Used { endpoint, region: None, credentials: Some(own.credentials.clone()).filter(|_| belongs), foreign: !belongs })
    }
}

/// How one place of a spec reaches its store.
struct Used<'a> {
    endpoint: Option<&'a str>,
    region: Option<&'a str>,
    credentials: Option<SharedCredentialsProvider>,
    foreign: bool,
}

// === impl Bucket ===

impl Bucket {
    /// What messages call a key in this bucket.
    pub(crate) fn called(&self, key: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("s3://{}/{key} at {endpoint}", self.name),
            None => format!("s3://{}/{key}", self.name),
        }
    }
}

fn bad_keys(what: &str, error: &TreeError) -> Failure {
    Failure::new(Reason::InvalidSpec, format!("{what}: {error}; rename the object or choose another prefix"))
}

#[cfg(test)]
mod tests;
