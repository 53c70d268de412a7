//! A JSON patch (RFC 6902) under construction.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// Operations in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Patch(Vec<Value>);

impl Patch {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, path: &str, value: Value) {
        self.0.push(operation("add", path, value));
    }

    pub(super) fn replace(&mut self, path: &str, value: Value) {
        self.0.push(operation("replace", path, value));
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.0.push(json!({"op": "remove", "path": path}));
    }

    pub(super) fn relocate(&mut self, from: &str, path: &str) {
        self.0.push(json!({"op": "move", "from": from, "path": path}));
    }

    /// Refuses the whole patch where the value is another: an index means what it meant when the object was read.
    pub(super) fn test(&mut self, path: &str, value: Value) {
        self.0.push(operation("test", path, value));
    }
}

fn operation(name: &str, path: &str, value: Value) -> Value {
    let members = [("op", name.into()), ("path", path.into()), ("value", value)];
    let members = members.map(|(member, value): (&str, Value)| (member.to_owned(), value));
    Value::Object(Map::from_iter(members))
}

/// A JSON pointer (RFC 6901).
pub(super) fn pointer(steps: &[&str]) -> String {
    steps
        .iter()
        .flat_map(|step| ["/".to_owned(), step.replace('~', "~0").replace('/', "~1")])
        .collect()
}
