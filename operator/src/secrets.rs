//! Secrets as they were found → what a run is given of them, or why it is given nothing. Pure: asks nobody, prints no value.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::names::{OPERATOR_ACCOUNT, SYSTEM_NAMESPACE};
use crds::node::MOST_SEALED_BYTES;
use crds::reason::Reason;
use crds::secret::{Granted, Part, SecretUse, Values, credentials};
use secrecy::{ExposeSecret as _, SecretSlice};

/// One Secret as the API server answered.
#[derive(Debug)]
pub enum Found {
    There(Values),
    Missing,
    /// The operator has not been granted it.
    Forbidden,
}

/// What came of reading a job's Secrets.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Granted(Arc<Granted>),
    Refused(Refusal),
    /// Nobody knows; it is asked again.
    Unanswered(String),
}

/// Why a run is given nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub reason: Reason,
    /// Names the field and the Secret, and what to do.
    pub message: String,
    /// It may be otherwise in a moment: Secret, Role and job were applied together.
    pub may_settle: bool,
}

/// What the places of a spec get of the Secrets in its namespace.
///
/// # Errors
/// The first place that cannot have what it names; or all of it is too large.
pub fn grant(namespace: &str, uses: &[SecretUse], found: &BTreeMap<String, Found>) -> Result<Granted, Refusal> {
    let mut granted = Granted::default();
    for one in uses {
        let secret = match found.get(&one.name) {
            Some(Found::There(secret)) => secret,
            Some(Found::Forbidden) | None => return Err(forbidden(namespace, one)),
            Some(Found::Missing) if one.optional => continue,
            Some(Found::Missing) => return Err(missing(one, &format!("there is no Secret {:?} in namespace {namespace}", one.name))),
        };
        let map = if matches!(one.part, Part::Credentials(_)) { &mut granted.stores } else { &mut granted.secrets };
        let taken = map.entry(one.name.clone()).or_default();
        match &one.part {
            Part::All => taken.extend(secret.iter().map(copy)),
            Part::Key(key) => match secret.get_key_value(key) {
                Some(pair) => taken.extend([copy(pair)]),
                None if one.optional => {}
                None => return Err(missing(one, &format!("Secret {:?} has no key {key:?}: it has {}", one.name, keys(secret)))),
            },
            Part::Credentials(_) => {
                for key in [credentials::ACCESS_KEY_ID, credentials::SECRET_ACCESS_KEY] {
                    if secret.get(key).is_none_or(|value| value.expose_secret().is_empty()) {
                        return Err(missing(one, &format!("Secret {:?} has no key {key:?}: it has {}", one.name, keys(secret))));
                    }
                }
                taken.extend(credentials::ALL.iter().filter_map(|key| secret.get_key_value(*key)).map(copy));
            }
        }
    }
    small_enough(&granted)?;
    Ok(granted)
}

/// As much as is sealed for one run.
pub(crate) fn small_enough(granted: &Granted) -> Result<(), Refusal> {
    let bytes = granted.to_bytes().len();
    if bytes <= MOST_SEALED_BYTES {
        return Ok(());
    }
    let message = format!(
        "the Secrets of the job have {bytes} bytes together, names included, and at most {MOST_SEALED_BYTES} travel to a node: name single keys, or put what is large into an input"
    );
    Err(Refusal { reason: Reason::InvalidSpec, message, may_settle: false })
}

fn copy((key, value): (&String, &SecretSlice<u8>)) -> (String, SecretSlice<u8>) {
    (key.clone(), value.expose_secret().to_vec().into())
}

/// Names of keys are no secret; there are few, and the message has a bound.
fn keys(secret: &Values) -> String {
    if secret.is_empty() { "none".to_owned() } else { secret.keys().take(16).cloned().collect::<Vec<_>>().join(", ") }
}

fn missing(one: &SecretUse, what: &str) -> Refusal {
    Refusal { reason: Reason::CredentialDenied, message: format!("{}: {what}", one.field), may_settle: true }
}

fn forbidden(namespace: &str, one: &SecretUse) -> Refusal {
    let name = &one.name;
    let role = format!("wasmjob-secret-{name}");
    let message = format!(
        "{}: the operator was not granted Secret {name:?}. Grant it by its name, and create the job anew: \
         kubectl -n {namespace} create role {role} --verb=get --resource=secrets --resource-name={name} && \
         kubectl -n {namespace} create rolebinding {role} --role={role} --serviceaccount={SYSTEM_NAMESPACE}:{OPERATOR_ACCOUNT}",
        one.field
    );
    Refusal { reason: Reason::CredentialDenied, message, may_settle: true }
}

#[cfg(test)]
mod tests;
