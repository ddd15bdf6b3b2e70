//! What a world looks like from outside, as one number: so that distinct states can be counted.
//!
//! Times, versions and counters of writes are left out, or every state would be another one. Knows nothing of what a state means.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::world::World;

/// Fields that differ although nothing else does.
const LEFT_OUT: [&str; 8] =
    ["resourceVersion", "creationTimestamp", "lastTransitionTime", "renewed", "sequence", "message", "notBefore", "generation"];

/// Of an object, as it is stored.
pub(crate) fn of_object(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    take(object, &mut hasher);
    hasher.finish()
}

fn take(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()) && !name.ends_with("Time")) {
                name.hash(hasher);
                take(value, hasher);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| take(item, hasher)),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => value.hash(hasher),
    }
}

impl World {
    /// What is stored, what runs, who lives, and what is under way.
    pub(crate) fn outline(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.api.outlines.hash(&mut hasher);
        for guest in self.guests() {
            (&guest.node, &guest.fence).hash(&mut hasher);
        }
        for process in self.processes() {
            (self.life(process), self.cut.contains(&process)).hash(&mut hasher);
        }
        for operator in &self.operators {
            (operator.leads(), operator.begun, operator.unsettled).hash(&mut hasher);
        }
        for wire in self.wires.values() {
            (wire.from, wire.task.is_some(), wire.answer.is_some()).hash(&mut hasher);
        }
        hasher.finish()
    }
}
