//! `metav1.Time` is written in whole seconds, and most jobs take less: the times of reports are written as `metav1.MicroTime` is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
    MicroTime(time.0).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
    Ok(Time(MicroTime::deserialize(from)?.0))
}

/// The same of a field that may be absent.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, MicroTime, Serialize, Serializer, Time};

    #[expect(clippy::ref_option, reason = "serde's shape")]
    pub(in super::super) fn serialize<S: Serializer>(time: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
        time.as_ref().map(|time| MicroTime(time.0)).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Time>, D::Error> {
        Ok(Option::<MicroTime>::deserialize(from)?.map(|time| Time(time.0)))
    }
}
