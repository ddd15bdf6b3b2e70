//! A job's Secrets, each by one live GET of its name when the job is to be assigned. None is listed, watched or kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::{Asking, REQUEST};
use crate::action::SecretsRead;
use crate::secrets::{Found, Outcome, grant, small_enough};

/// Requests at once.
const AT_ONCE: usize = 8;

/// What the places of a spec get.
pub(super) async fn read(asking: &Asking, read: &SecretsRead) -> Outcome {
    let secrets: Api<Secret> = Api::namespaced(asking.client.clone(), &read.namespace);
    let names: BTreeSet<String> = read.uses.iter().map(|one| one.name.clone()).collect();
    let asked: Vec<_> = names.into_iter().map(|name| get(secrets.clone(), name)).collect();
    let asked = stream::iter(asked).buffer_unordered(AT_ONCE);
    let found: BTreeMap<String, Found> = match asked.try_collect().await {
        Ok(found) => found,
        Err(why) => return Outcome::Unanswered(why),
    };
    let mut granted = match grant(&read.namespace, &read.uses, &found) {
        Ok(granted) => granted,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    if let Err(outcome) = asking.sessions.open(read, &mut granted).await {
        return outcome;
    }
    match small_enough(&granted) {
        Ok(()) => Outcome::Granted(Arc::new(granted)),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

async fn get(secrets: Api<Secret>, name: String) -> Result<(String, Found), String> {
    let found = match tokio::time::timeout(REQUEST, secrets.get_opt(&name)).await {
        Ok(Ok(Some(secret))) => {
            let values = secret.data.into_iter().flatten().map(|(key, value)| (key, value.0.into()));
            Found::There(values.collect())
        }
        Ok(Ok(None)) => Found::Missing,
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Found::Forbidden,
        Ok(Err(kube::Error::Api(status))) => return Err(format!("Secret {name:?}: {}: {}", status.code, status.message)),
        // What other errors say may be of the body.
        Ok(Err(_)) => return Err(format!("Secret {name:?}: the request failed")),
        Err(_) => return Err(format!("Secret {name:?}: no answer within {REQUEST:?}")),
    };
    Ok((name, found))
}
