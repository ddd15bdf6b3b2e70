//! ConfigMaps that are results: each created once, owned by its job, never changed; one that is there already is somebody else's.

use std::collections::BTreeMap;

use crds::names::{OPERATOR_MANAGER, RESULT_ANNOTATION};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::PostParams;

use super::{Asking, request};
use crate::action::StatusWrite;
use crate::patch::Failed;
use crate::results::NewConfigMap;

/// What came of making a job's ConfigMaps.
pub(super) enum Made {
    /// They are there, by this call or by one before it.
    All,
    /// This one never will be.
    Refused(String),
    /// Nobody knows.
    Unanswered,
}

/// Makes the ConfigMaps that a status tells of.
pub(super) async fn make(asking: &Asking, write: &StatusWrite) -> Made {
    let maps: Api<ConfigMap> = Api::namespaced(asking.client.clone(), &write.namespace);
    for new in write.config_maps.iter().flat_map(|new| &new.maps) {
        asking.metrics.write("configmap");
        let parameters = PostParams { field_manager: Some(OPERATOR_MANAGER.to_owned()), ..PostParams::default() };
        let made = match request(maps.create(&parameters, &object(write, new))).await {
            Ok(_) => Made::All,
            Err(Failed::Test) => there(&maps, write, new).await,
            Err(failed) => refused(new, failed),
        };
        if !matches!(made, Made::All) {
            asking.metrics.failed("configmap");
            return made;
        }
    }
    Made::All
}

/// One of this name is there: ours, if an answer was lost or the status did not hold, or another's.
async fn there(maps: &Api<ConfigMap>, write: &StatusWrite, new: &NewConfigMap) -> Made {
    match request(maps.get_opt(&new.name)).await {
        Ok(Some(found)) if is_ours(&found, write, new) => Made::All,
        Ok(Some(_)) => Made::Refused(format!(
            "ConfigMap {:?} is there already, and one that is there is never changed: delete it, or publish under another name",
            new.name
        )),
        Ok(None) => Made::Unanswered,
        Err(failed) => refused(new, failed),
    }
}

fn refused(new: &NewConfigMap, failed: Failed) -> Made {
    match failed {
        Failed::Unanswered(_) | Failed::Test => Made::Unanswered,
        Failed::Gone | Failed::Refused(_) | Failed::Denied(_) => {
            Made::Refused(format!("ConfigMap {:?} cannot be made: {failed}", new.name))
        }
    }
}

fn is_ours(found: &ConfigMap, write: &StatusWrite, new: &NewConfigMap) -> bool {
    let owners = found.metadata.owner_references.iter().flatten();
    let annotations = found.metadata.annotations.as_ref();
    owners.into_iter().any(|owner| owner.uid == *write.uid)
        && annotations.and_then(|annotations| annotations.get(RESULT_ANNOTATION)).is_some_and(|result| *result == new.result)
}

fn object(write: &StatusWrite, new: &NewConfigMap) -> ConfigMap {
    let owner = OwnerReference {
        api_version: "wasmjob.dev/v1alpha1".to_owned(),
        kind: "WasmJob".to_owned(),
        name: write.name.to_string(),
        uid: write.uid.to_string(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let (mut data, mut binary_data) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &new.files {
        match String::from_utf8(value.0.clone()) {
            Ok(text) => drop(data.insert(key.clone(), text)),
            Err(_) => drop(binary_data.insert(key.clone(), value.clone())),
        }
    }
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(new.name.clone()),
            namespace: Some(write.namespace.to_string()),
            owner_references: Some(vec![owner]),
            annotations: Some(BTreeMap::from([(RESULT_ANNOTATION.to_owned(), new.result.clone())])),
            ..ObjectMeta::default()
        },
        data: Some(data),
        binary_data: Some(binary_data),
        immutable: Some(true),
    }
}
