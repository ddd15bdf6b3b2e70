//! Secrets: where a spec names them, and what of them a run is given.
//!
//! Reads none: the operator does, and hands over what it read sealed ([`crate::node::Sealed`]). No type here prints a value.

use std::collections::BTreeMap;
use std::fmt;

use kube::KubeSchema;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize, Serializer};

use crate::job::{Layout, WhatToRun};
use crate::rules;
use crate::source::S3Source;

/// A key of a Secret in the job's own namespace, whose text becomes a value.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret, in the job's namespace. The operator must be granted it by name: a Role there with get on this one Secret.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// The key, in data.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::data_key())]
    pub key: String,
    /// Where the Secret or the key is not there, there is no value, and the run goes on. Default: it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A Secret whose keys become variables.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name, in the job's namespace. The operator must be granted it by name.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// Where it is not there, there are no variables, and the run goes on. Default: it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A key of a Secret in the job's own namespace, or all of its keys, as files.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// Name of the Secret, in the job's namespace. The operator must be granted it by name. With all others of the job: at most 8 KiB.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
    /// One key of it. Default: every key is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::data_key())]
    pub key: Option<String>,
}

/// A Secret with the credentials of an S3 store.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsSecretRef {
    /// Its name, in the job's namespace. The operator must be granted it by name. Its keys: accessKeyId, secretAccessKey and, where the
    /// store wants them, sessionToken and endpoint.
    #[schemars(length(max = 253))]
    #[x_kube(validation = rules::object_name())]
    pub name: String,
}

/// Keys of a Secret with the credentials of an S3 store.
pub mod credentials {
    pub const ACCESS_KEY_ID: &str = "accessKeyId";
    pub const SECRET_ACCESS_KEY: &str = "secretAccessKey";
    pub const SESSION_TOKEN: &str = "sessionToken";
    /// URL of the store that they belong to; they are used nowhere else.
    pub const ENDPOINT: &str = "endpoint";
    pub const ALL: [&str; 4] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, ENDPOINT];
    /// Of a session alone: until when it holds, as RFC 3339 writes times.
    pub const EXPIRATION: &str = "expiration";
}

/// One place of a spec that names a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// The place: `spec.env[TOKEN].valueFrom`.
    pub field: String,
    pub name: String,
    pub part: Part,
    /// It may be missing.
    pub optional: bool,
}

/// What of a Secret is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Key(String),
    All,
    /// The keys in [`credentials`], the first two of which must be there.
    Credentials(S3Use),
}

/// What is done with the credentials of an S3 store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Use {
    pub bucket: String,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub reach: Reach,
}

/// How far they have to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This object is read.
    Object(String),
    /// What lies below this prefix is listed and read.
    Prefix(String),
    /// Objects are written below this prefix, which is as the spec writes it; straight below it where the layout is flat.
    Publish { prefix: String, is_flat: bool },
}

/// Keys and values of one Secret.
pub type Values = BTreeMap<String, SecretSlice<u8>>;

/// What a run is given: of each Secret that its spec names, by name, what it names. Prints the names.
#[derive(Debug, Default)]
pub struct Granted {
    pub secrets: BTreeMap<String, Values>,
    /// Credentials of S3 stores by the name of their Secret: its own, or those of a session that may do no more than the run has to.
    pub stores: BTreeMap<String, Values>,
}

/// Bytes that are no [`Granted`].
#[derive(Debug, thiserror::Error)]
#[error("unable to read what was sealed")]
pub struct Unreadable;

/// Every place of a spec that names a Secret.
pub fn uses(what: &WhatToRun) -> Vec<SecretUse> {
    let mut all = values(what);
    let read = |field: &str, s3: Option<&S3Source>| {
        let (s3, secret) = s3.and_then(|s3| Some((s3, s3.credentials_secret_ref.as_ref()?)))?;
        let reach = match (&s3.key, &s3.prefix) {
            (Some(key), _) => Reach::Object(key.clone()),
            (None, prefix) => Reach::Prefix(prefix.clone().unwrap_or_default()),
        };
        let used = S3Use { bucket: s3.bucket.clone(), region: s3.region.clone(), endpoint: s3.endpoint.clone(), reach };
        Some(of(format!("{field}.s3.credentialsSecretRef"), &secret.name, Part::Credentials(used), false))
    };
    all.extend(read("spec.module", what.module.s3.as_ref()));
    all.extend(what.inputs.iter().filter_map(|input| read(&format!("spec.inputs[{}]", input.name), input.s3.as_ref())));
    for output in what.outputs.iter().flatten() {
        all.extend(output.publish.iter().enumerate().filter_map(|(position, publish)| {
            let s3 = publish.s3.as_ref()?;
            let secret = s3.credentials_secret_ref.as_ref()?;
            let reach = Reach::Publish { prefix: s3.prefix.clone().unwrap_or_default(), is_flat: s3.layout == Some(Layout::Flat) };
            let used = S3Use { bucket: s3.bucket.clone(), region: s3.region.clone(), endpoint: s3.endpoint.clone(), reach };
            let field = format!("spec.outputs[{}].publish[{position}].s3.credentialsSecretRef", output.name);
            Some(of(field, &secret.name, Part::Credentials(used), false))
        }));
    }
    all
}

/// Those whose values the guest sees.
fn values(what: &WhatToRun) -> Vec<SecretUse> {
    let keyed =
        |field: String, from: Option<&SecretKeyRef>| from.map(|from| of(field, &from.name, Part::Key(from.key.clone()), from.optional));
    let mut uses = Vec::new();
    for from in what.env_from.iter().filter_map(|from| from.secret_ref.as_ref()) {
        uses.push(of("spec.envFrom".to_owned(), &from.name, Part::All, from.optional));
    }
    for variable in &what.env {
        let from = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        uses.extend(keyed(format!("spec.env[{}].valueFrom", variable.name), from));
    }
    let stdin = what.stdin.as_ref().and_then(|stdin| stdin.value_from.as_ref()?.secret_key_ref.as_ref());
    uses.extend(keyed("spec.stdin.valueFrom".to_owned(), stdin));
    for (name, source) in what.inputs.iter().filter_map(|input| Some((&input.name, input.secret.as_ref()?))) {
        let part = source.key.clone().map_or(Part::All, Part::Key);
        uses.push(of(format!("spec.inputs[{name}].secret"), &source.name, part, false));
    }
    uses
}

fn of(field: String, name: &str, part: Part, optional: bool) -> SecretUse {
    SecretUse { field, name: name.to_owned(), part, optional }
}

// === impl Granted ===

impl Granted {
    /// As the bytes that are sealed: JSON, in which a text stands as it is, and other bytes in base64.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let written = WrittenGrant { secrets: written(&self.secrets), stores: written(&self.stores) };
        // Room for all of it: a vector that grows leaves copies behind.
        let values = self.secrets.iter().chain(&self.stores);
        let longest = |(name, values): (&String, &Values)| {
            let values = values.iter().map(|(key, value)| key.len() + value.expose_secret().len() * 6 + 16);
            name.len() + 16 + values.sum::<usize>()
        };
        let mut json = Zeroizing::new(Vec::with_capacity(64 + values.map(longest).sum::<usize>()));
        serde_json::to_writer(&mut *json, &written).expect("names and texts are JSON");
        json
    }

    /// # Errors
    /// They were written by another version, or by nobody.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let read: ReadGrant = serde_json::from_slice(bytes).map_err(|_| Unreadable)?;
        Ok(Self { secrets: secret(read.secrets)?, stores: secret(read.stores)? })
    }

    /// One value.
    pub fn value(&self, name: &str, key: &str) -> Option<&SecretSlice<u8>> {
        self.secrets.get(name)?.get(key)
    }
}

impl PartialEq for Granted {
    fn eq(&self, other: &Self) -> bool {
        *self.to_bytes() == *other.to_bytes()
    }
}

impl Eq for Granted {}

/// As it is written.
#[derive(Serialize)]
struct WrittenGrant<'a> {
    secrets: BTreeMap<&'a str, BTreeMap<&'a str, Written<'a>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stores: BTreeMap<&'a str, BTreeMap<&'a str, Written<'a>>>,
}

fn written(all: &BTreeMap<String, Values>) -> BTreeMap<&str, BTreeMap<&str, Written<'_>>> {
    fn values(values: &Values) -> BTreeMap<&str, Written<'_>> {
        values.iter().map(|(key, value)| (key.as_str(), Written(value.expose_secret()))).collect()
    }
    all.iter().map(|(name, of_one)| (name.as_str(), values(of_one))).collect()
}

/// As it is read.
#[derive(Deserialize)]
struct ReadGrant {
    secrets: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    stores: BTreeMap<String, BTreeMap<String, Value>>,
}

fn secret(all: BTreeMap<String, BTreeMap<String, Value>>) -> Result<BTreeMap<String, Values>, Unreadable> {
    let values = |values: BTreeMap<String, Value>| {
        let values = values.into_iter().map(|(key, value)| value.into_secret().map(|value| (key, value)));
        values.collect::<Result<Values, Unreadable>>()
    };
    all.into_iter().map(|(name, of_one)| values(of_one).map(|of_one| (name, of_one))).collect()
}

/// A value as it is written.
struct Written<'a>(&'a [u8]);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        match std::str::from_utf8(self.0) {
            Ok(text) => text.serialize(to),
            Err(_) => [Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(self.0)).as_str()].serialize(to),
        }
    }
}

/// A value as it is read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Base64([String; 1]),
}

impl Value {
    fn into_secret(self) -> Result<SecretSlice<u8>, Unreadable> {
        use base64::Engine as _;
        match self {
            Self::Text(text) => Ok(text.into_bytes().into()),
            Self::Base64([text]) => {
                let text = Zeroizing::new(text);
                base64::engine::general_purpose::STANDARD.decode(&*text).map(Into::into).map_err(|_| Unreadable)
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key {key:?}"),
            Self::All => f.write_str("all keys"),
            Self::Credentials(_) => f.write_str("accessKeyId and secretAccessKey"),
        }
    }
}

#[cfg(test)]
mod tests;
