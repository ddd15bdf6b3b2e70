//! The model API server: objects with versions, the very JSON patches, preconditions, the rules of the definitions and one policy.
//!
//! Keeps every version of every object. Knows no time, no watches and no network: who asks is answered at once.

pub(crate) mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::response::Status;
use serde_json::{Value, json};

use super::outline::of_object;
use super::without::{Rule, Without};

/// What kinds of objects there are. Jobs are in one namespace, nodes and Leases in another; the cluster's own Nodes are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Job,
    Node,
    Lease,
    KubeNode,
}

/// One object's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<str>,
}

/// The half of an object that a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Spec,
    Status,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Get(Key),
    List(Kind),
    Patch {
        key: Key,
        part: Part,
        operations: Vec<Value>,
    },
    Create(Kind, Value),
    /// Tests the resourceVersion in it.
    Replace(Key, Value),
    Delete {
        key: Key,
        uid: Option<Arc<str>>,
        resource_version: Option<u64>,
        by: Deleter,
    },
}

/// Who deletes, as far as policies tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleter {
    Operator,
    /// `kubectl delete` by anybody.
    User,
    /// The namespace controller, in a namespace that is being deleted.
    EndOfNamespace,
}

/// The answer to a request, or the lack of one.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Object(Arc<Value>),
    List {
        items: Vec<Arc<Value>>,
        revision: u64,
    },
    Failed(Box<Status>),
    /// Nothing came in time.
    Silence,
}

/// One version of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
}

/// A backup of everything.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
}

/// The server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Api {
    pub(crate) revision: u64,
    pub(crate) objects: BTreeMap<Key, Arc<Value>>,
    /// What the objects look like, to count states by.
    pub(crate) outlines: BTreeMap<Key, u64>,
    /// Every version, oldest first.
    pub(crate) changes: Vec<Arc<Change>>,
    /// Writes that were asked for, Leases not counted; and those that changed something.
    pub(crate) writes: usize,
    pub(crate) changing: usize,
    /// The newest of them.
    pub(crate) newest: Option<Request>,
    uids: u64,
    pub(crate) without: Without,
    /// A policy refuses assignments and reports that hold this text.
    pub(crate) poison: Option<&'static str>,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Job, Self::Node, Self::Lease, Self::KubeNode];

    /// Whether it is defined here: of such objects writes are counted.
    fn is_ours(self) -> bool {
        matches!(self, Self::Job | Self::Node)
    }
}

// === impl Key ===

impl Key {
    pub(crate) fn job(name: &str) -> Self {
        Self { kind: Kind::Job, name: name.into() }
    }

    pub(crate) fn node(name: &str) -> Self {
        Self { kind: Kind::Node, name: name.into() }
    }

    pub(crate) fn kube_node(name: &str) -> Self {
        Self { kind: Kind::KubeNode, name: name.into() }
    }

    pub(crate) fn lease(name: &str) -> Self {
        Self { kind: Kind::Lease, name: name.into() }
    }
}

// === impl Api ===

impl Api {
    pub(crate) fn new(without: Without) -> Self {
        Self { without, ..Self::default() }
    }

    /// Answers, and changes what is to be changed.
    pub(crate) fn serve(&mut self, request: &Request) -> Answer {
        let is_write = !matches!(request, Request::Get(_) | Request::List(_));
        if is_write && kind_of(request).is_ours() {
            self.writes += 1;
            self.newest = Some(request.clone());
        }
        let answer = match request {
            Request::Get(key) => self.objects.get(key).cloned().ok_or_else(gone),
            Request::List(kind) => {
                let items = self.objects.iter().filter(|(key, _)| key.kind == *kind).map(|(_, object)| object.clone()).collect();
                return Answer::List { items, revision: self.revision };
            }
            Request::Patch { key, part, operations } => self.patch(key, *part, operations),
            Request::Create(kind, object) => self.create(*kind, object),
            Request::Replace(key, object) => self.replace(key, object),
            Request::Delete { key, uid, resource_version, by } => self.delete(key, uid.as_deref(), *resource_version, *by),
        };
        match answer {
            Ok(object) => Answer::Object(object),
            Err(status) => Answer::Failed(status),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    pub(crate) fn back_up(&self) -> Backup {
        Backup { revision: self.revision, objects: self.objects.clone() }
    }

    /// Everything is as it was, the count of revisions too. UIDs are drawn at random: none comes twice.
    pub(crate) fn restore(&mut self, backup: &Backup) {
        self.revision = backup.revision;
        self.objects.clone_from(&backup.objects);
        self.outlines = backup.objects.iter().map(|(key, object)| (key.clone(), of_object(object))).collect();
        self.changes.retain(|change| change.revision <= backup.revision);
    }

    fn patch(&mut self, key: &Key, part: Part, operations: &[Value]) -> Result<Arc<Value>, Box<Status>> {
        let before = self.objects.get(key).cloned().ok_or_else(gone)?;
        let mut after = Value::clone(&before);
        let operations: Vec<json_patch::PatchOperation> =
            operations.iter().map(|operation| serde_json::from_value(operation.clone()).expect("it is an operation")).collect();
        json_patch::patch(&mut after, &operations).map_err(|error| failed(422, &error.to_string(), false))?;
        // A write of one half changes nothing of the other.
        let other = if part == Part::Spec { "status" } else { "spec" };
        after[other] = before[other].clone();
        self.store(key, Some(&before), after)
    }

    fn create(&mut self, kind: Kind, object: &Value) -> Result<Arc<Value>, Box<Status>> {
        let name: Arc<str> = object["metadata"]["name"].as_str().expect("it has a name").into();
        let key = Key { kind, name };
        if self.objects.contains_key(&key) {
            return Err(failed(409, "it is there already", false));
        }
        self.uids += 1;
        let mut object = object.clone();
        object["metadata"]["uid"] = format!("uid-{:?}-{}", kind, self.uids).to_lowercase().into();
        object["metadata"]["generation"] = 1.into();
        with_defaults(kind, &mut object);
        self.store(&key, None, object)
    }

    fn replace(&mut self, key: &Key, object: &Value) -> Result<Arc<Value>, Box<Status>> {
        let before = self.objects.get(key).cloned().ok_or_else(gone)?;
        if object["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"] {
            return Err(failed(409, "another version is there", false));
        }
        self.store(key, Some(&before), object.clone())
    }

    fn delete(&mut self, key: &Key, uid: Option<&str>, version: Option<u64>, by: Deleter) -> Result<Arc<Value>, Box<Status>> {
        let before = self.objects.get(key).cloned().ok_or_else(gone)?;
        let metadata = &before["metadata"];
        let is_other = uid.is_some_and(|uid| metadata["uid"] != uid)
            || version.is_some_and(|version| metadata["resourceVersion"].as_str() != Some(&version.to_string()));
        if is_other {
            return Err(failed(409, "a precondition does not hold", false));
        }
        let entries = before["spec"]["assignments"].as_object().map_or(0, serde_json::Map::len);
        if key.kind == Kind::Node && entries > 0 && by == Deleter::User && self.without.keeps(Rule::P14Policy) {
            return Err(failed(422, "this node still has assignments", true));
        }
        self.revision += 1;
        self.objects.remove(key);
        self.outlines.remove(key);
        self.changing += 1;
        self.log(key, Some(before.clone()), None);
        Ok(before)
    }

    /// A write that changes nothing makes no version.
    fn store(&mut self, key: &Key, before: Option<&Arc<Value>>, mut after: Value) -> Result<Arc<Value>, Box<Status>> {
        if let Some(before) = before {
            after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            if after == **before {
                return Ok(before.clone());
            }
            if key.kind.is_ours() && after["spec"] != before["spec"] {
                let generation = before["metadata"]["generation"].as_i64().unwrap_or(1);
                after["metadata"]["generation"] = (generation + 1).into();
            }
        }
        let broken = rules::violations(key.kind, before.map(|before| &**before), &after, self.without);
        if !broken.is_empty() {
            return Err(failed(422, &broken.join("; "), true));
        }
        if self.poison.is_some_and(|poison| poisoned(before.map(|before| &**before), &after, poison)) {
            return Err(failed(422, "refused by a policy", true));
        }
        self.revision += 1;
        after["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let after = Arc::new(after);
        self.outlines.insert(key.clone(), of_object(&after));
        self.objects.insert(key.clone(), after.clone());
        self.changing += usize::from(key.kind.is_ours());
        self.log(key, before.cloned(), Some(after.clone()));
        Ok(after)
    }

    fn log(&mut self, key: &Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        self.changes.push(Arc::new(Change { revision: self.revision, key: key.clone(), before, after }));
    }
}

fn kind_of(request: &Request) -> Kind {
    match request {
        Request::Get(key) | Request::Patch { key, .. } | Request::Replace(key, _) | Request::Delete { key, .. } => key.kind,
        Request::List(kind) | Request::Create(kind, _) => *kind,
    }
}

/// What the definitions fill in.
fn with_defaults(kind: Kind, object: &mut Value) {
    let or = |value: &mut Value, default: Value| {
        if value.is_null() {
            *value = default;
        }
    };
    match kind {
        Kind::Job => {
            object["status"] = json!({ "observedGeneration": -1, "conditions": [{
                "type": "Finished", "status": "False", "reason": "Pending", "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z",
            }] });
        }
        Kind::Node => {
            for (field, default) in [("epoch", json!(0)), ("sequence", json!(0)), ("assignments", json!({}))] {
                or(&mut object["spec"][field], default);
            }
            object["status"] = json!({ "agent": "", "sequence": 0, "reports": {} });
        }
        Kind::Lease | Kind::KubeNode => {}
    }
}

fn poisoned(before: Option<&Value>, after: &Value, poison: &str) -> bool {
    let new = |pointer: &str| {
        let known = before.and_then(|before| before.pointer(pointer)).and_then(Value::as_object);
        let all = after.pointer(pointer).and_then(Value::as_object);
        all.into_iter()
            .flatten()
            .any(|(id, value)| known.and_then(|known| known.get(id)) != Some(value) && value.to_string().contains(poison))
    };
    new("/spec/assignments") || new("/status/reports")
}

fn gone() -> Box<Status> {
    failed(404, "not found", false)
}

/// 422 is a failed test without causes, a refusal with them.
fn failed(code: u16, message: &str, causes: bool) -> Box<Status> {
    let details = if causes { json!({ "causes": [{ "message": message }] }) } else { Value::Null };
    serde_json::from_value(json!({ "status": "Failure", "code": code, "message": message, "details": details })).expect("it is a Status")
}
