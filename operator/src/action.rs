//! What a decision asks for, as data: it can be printed, compared, and carried out in part by a crash test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::secret::{Granted, SecretUse};
use crds::status::WasmJobStatus;

use crate::observe::NodeKey;
use crate::results::NewConfigMaps;

/// One request to the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A tested patch of a node's spec (P4). One in flight per node.
    WriteNode(NodeWrite),
    /// A tested patch of a job's status (P4). One in flight per job.
    WriteStatus(StatusWrite),
    /// Read a job live: it is not in view, or an end with no report behind it is to be written (P9, P14).
    GetJob { namespace: Arc<str>, name: Arc<str>, uid: Arc<str> },
    /// Read what a job that can be placed names of Secrets, each by its name; or what one that runs was given, once more.
    ReadSecrets(SecretsRead),
    /// Read a node's Lease live, before anything of it is given away (P10).
    GetLease { node: Arc<str> },
    /// Make a node ours: the epoch by a tested patch, then a live look at our own Lease (P8).
    Adopt { node: Arc<str> },
    /// Raise observedGeneration in the status of a job that has ended.
    Follow { namespace: Arc<str>, name: Arc<str>, uid: Arc<str> },
    /// Delete a job whose time after its end is over.
    DeleteJob { namespace: Arc<str>, name: Arc<str>, uid: Arc<str>, resource_version: u64 },
    /// Take away what is left of a node whose Node is gone (P14): object (its UID) and Lease, each in this version only, and after a live
    /// look that the Node is gone.
    ForgetNode { node: Arc<str>, object: Option<(Arc<str>, u64)>, lease: Option<u64> },
    /// What was seen cannot be: a restored backup (P15). Begin again from a list.
    StartAgain { why: String },
}

/// Whose Secrets are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsRead {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub run: i64,
    pub attempt: i32,
    pub uses: Arc<[SecretUse]>,
    /// The node on which it runs, and what it was given ends before it does.
    pub renews: Option<Arc<str>>,
}

/// Changes of one node's assignments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeWrite {
    pub node: Arc<str>,
    pub uid: Arc<str>,
    pub epoch: i64,
    pub sequence: i64,
    pub add: BTreeMap<Arc<str>, NewEntry>,
    /// By id, the entry's line as it stands there.
    pub cancel: BTreeMap<Arc<str>, Arc<str>>,
    pub remove: BTreeSet<Arc<str>>,
    /// What runs are given anew, by the key under which it lies.
    pub seal: BTreeMap<Arc<str>, Anew>,
    /// Keys of what is sealed for runs of which nothing is left there.
    pub unseal: BTreeSet<Arc<str>>,
    /// What the entries that are added are given is sealed to it.
    pub key: Option<NodeKey>,
    /// The Lease's resourceVersion that a live GET must still show right before: the node was given up (P10).
    pub given_up_at: Option<u64>,
}

/// What a run that is under way is given anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anew {
    pub uid: Arc<str>,
    pub run: i64,
    pub granted: Arc<Granted>,
}

/// An assignment to be. Whoever writes it draws its fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub run: i64,
    pub generation: i64,
    pub spec_hash: String,
    pub attempt: i32,
    /// What the run is given of Secrets. Sealed by whoever writes the entry, with it.
    pub granted: Option<Arc<Granted>>,
}

/// A job's next status.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    pub resource_version: u64,
    pub status: Box<WasmJobStatus>,
    /// Made before it is written, since it tells of them.
    pub config_maps: Option<Box<NewConfigMaps>>,
    /// Only after a live look at the job that shows the same (P9).
    pub live: bool,
}

// === impl NodeWrite ===

impl NodeWrite {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.cancel.is_empty() && self.remove.is_empty() && self.seal.is_empty()
    }

    /// One that tests the same and changes nothing.
    #[must_use]
    pub fn unchanging(&self) -> Self {
        let Self { node, uid, epoch, sequence, given_up_at, key, .. } = self;
        let (node, uid, key) = (node.clone(), uid.clone(), key.clone());
        Self { node, uid, epoch: *epoch, sequence: *sequence, given_up_at: *given_up_at, key, ..Self::default() }
    }
}
