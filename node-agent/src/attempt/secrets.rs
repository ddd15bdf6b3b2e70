//! What was sealed for an attempt → what a runner takes: variables, stdin, files of inputs, credentials of S3 stores. Opens what it is told to
//! open and asks nobody; no value is printed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use crds::job::WhatToRun;
use crds::reason::Reason;
use crds::secret::{Granted, Part, SecretKeyRef, SecretRef, Values, credentials, uses};
use jiff::Timestamp;
use runner::failure::Failure;
use runner::fetch::path::safe_path;
use runner::fetch::s3::SecretAccess;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use crate::seal::Grants;

/// What the spec names of Secrets; `Refused` where it names any and there is nothing that opens.
pub(super) fn open(grants: &Grants, what: &WhatToRun) -> Result<Granted, Failure> {
    if uses(what).is_empty() {
        return Ok(Granted::default());
    }
    grants.open().map_err(|error| Failure::new(Reason::Refused, format!("what the job is given of Secrets cannot be used: {error}")))
}

/// One value as a variable may hold it; `None`: it is missing, and may be.
pub(super) fn variable(field: &str, from: &SecretKeyRef, granted: &Granted) -> Result<Option<SecretString>, Failure> {
    match granted.value(&from.name, &from.key) {
        Some(value) => text(field, &from.name, &from.key, value).map(Some),
        None if from.optional => Ok(None),
        None => Err(withheld(field, &from.name)),
    }
}

/// All values as variables may hold them, by their keys.
pub(super) fn variables(field: &str, from: &SecretRef, granted: &Granted) -> Result<Vec<(String, SecretString)>, Failure> {
    match granted.secrets.get(&from.name) {
        Some(values) => values.iter().map(|(key, value)| Ok((key.clone(), text(field, &from.name, key, value)?))).collect(),
        None if from.optional => Ok(Vec::new()),
        None => Err(withheld(field, &from.name)),
    }
}

fn text(field: &str, name: &str, key: &str, value: &SecretSlice<u8>) -> Result<SecretString, Failure> {
    match std::str::from_utf8(value.expose_secret()) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned().into()),
        _ => {
            let message = format!("{field}: key {key:?} of Secret {name:?} is no text without NUL: mount it as an input");
            Err(Failure::new(Reason::CredentialDenied, message))
        }
    }
}

/// The bytes of stdin. A key that is optional and missing: it is at its end from the start.
pub(super) fn stdin<'a>(from: &SecretKeyRef, granted: &'a Granted) -> Result<&'a [u8], Failure> {
    match granted.value(&from.name, &from.key) {
        Some(value) => Ok(value.expose_secret()),
        None if from.optional => Ok(&[]),
        None => Err(withheld("spec.stdin.valueFrom", &from.name)),
    }
}

/// The files of inputs that are Secrets, by the names of inputs.
pub(super) fn inputs(what: &WhatToRun, granted: &Granted) -> Result<BTreeMap<String, Values>, Failure> {
    let sources = what.inputs.iter().filter_map(|input| Some((&input.name, input.secret.as_ref()?)));
    let files = sources.map(|(input, source)| {
        let field = format!("spec.inputs[{input}].secret");
        let values = granted.secrets.get(&source.name).ok_or_else(|| withheld(&field, &source.name))?;
        let wanted = values.iter().filter(|(key, _)| source.key.as_ref().is_none_or(|wanted| wanted == *key));
        let mut files = Values::new();
        for (key, value) in wanted {
            if safe_path(key).is_err() || key.contains('/') {
                return Err(Failure::new(Reason::InvalidSpec, format!("{field}: key {key:?} of Secret {:?} is no file name", source.name)));
            }
            files.insert(key.clone(), value.expose_secret().to_vec().into());
        }
        match &source.key {
            Some(_) if files.is_empty() => Err(withheld(&field, &source.name)),
            _ => Ok((input.clone(), files)),
        }
    });
    files.collect()
}

/// The credentials of S3 stores that the spec names, by the names of Secrets. They are opened each time that they are asked for: a session
/// may have been renewed.
pub(super) fn s3(what: &WhatToRun, grants: &Grants, granted: &Granted) -> BTreeMap<String, SecretAccess> {
    let named = uses(what).into_iter().filter(|one| matches!(one.part, Part::Credentials(_))).map(|one| one.name);
    let access = |name: String| {
        let endpoint = keys(granted, &name).and_then(|keys| text_of(keys, credentials::ENDPOINT));
        let provider = OfSecret { grants: grants.clone(), name: name.clone() };
        (name, SecretAccess { credentials: SharedCredentialsProvider::new(provider), endpoint })
    };
    named.map(access).collect()
}

/// Credentials in a Secret, or of the session that stands in for it.
#[derive(Debug)]
struct OfSecret {
    grants: Grants,
    name: String,
}

impl OfSecret {
    fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let granted = self.grants.open().map_err(CredentialsError::provider_error)?;
        let missing = || CredentialsError::not_loaded(format!("Secret {:?} was not sealed for this run", self.name));
        let keys = keys(&granted, &self.name).ok_or_else(missing)?;
        let needed = |key: &str| text_of(keys, key).ok_or_else(missing);
        let until = text_of(keys, credentials::EXPIRATION).and_then(|until| until.parse::<Timestamp>().ok());
        Ok(Credentials::new(
            needed(credentials::ACCESS_KEY_ID)?,
            needed(credentials::SECRET_ACCESS_KEY)?,
            text_of(keys, credentials::SESSION_TOKEN),
            until.map(SystemTime::from),
            "Secret",
        ))
    }
}

impl ProvideCredentials for OfSecret {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::ready(self.credentials())
    }
}

fn keys<'a>(granted: &'a Granted, name: &str) -> Option<&'a Values> {
    granted.stores.get(name)
}

/// People end a value with a newline, which no credential has.
fn text_of(keys: &Values, key: &str) -> Option<String> {
    let text = std::str::from_utf8(keys.get(key)?.expose_secret()).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The operator has looked at all of them: its version is another one.
fn withheld(field: &str, name: &str) -> Failure {
    Failure::new(Reason::CredentialDenied, format!("{field}: what it names of Secret {name:?} was not given to the node"))
}

#[cfg(test)]
mod tests;
