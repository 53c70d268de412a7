//! Environment variables of one container: the last entry of a name counts, and is replaced where it stands, because
//! later entries may refer to it.

use serde_json::{Value, json};

use super::apps::Place;
use super::patch::Patch;
use super::read::{list, text};

/// The entry of a name that counts, and its index.
pub(super) fn entry<'a>(container: &'a Value, name: &str) -> Option<(usize, &'a Value)> {
    let mut entries = list(container, "env").iter().enumerate();
    entries.rfind(|(_, entry)| text(entry, "name") == name)
}

/// The literal value of a name; absent values are empty, references are none.
pub(super) fn literal<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let (_, entry) = entry(container, name)?;
    is_literal(entry).then(|| text(entry, "value"))
}

/// Whether an entry's value stands in the pod.
pub(super) fn is_literal(entry: &Value) -> bool {
    entry["valueFrom"].is_null()
}

/// Gives a container these variables, unless it has them.
pub(super) fn set(patch: &mut Patch, place: &Place<'_>, wanted: &[(&str, String)]) {
    let mut added = Vec::new();
    let mut replaced = Vec::new();
    for (name, value) in wanted {
        if literal(place.container, name) == Some(value.as_str()) {
            continue;
        }
        let new = json!({"name": name, "value": value});
        match entry(place.container, name) {
            Some((index, _)) => replaced.push((index, new)),
            None => added.push(new),
        }
    }
    if added.is_empty() && replaced.is_empty() {
        return;
    }
    if let Some(name) = place.container.get("name") {
        patch.test(&place.path(&["name"]), name.clone());
    }
    for (index, new) in replaced {
        patch.replace(&place.path(&["env", &index.to_string()]), new);
    }
    if added.is_empty() {
        return;
    }
    if place.container["env"].is_array() {
        for new in added {
            patch.add(&place.path(&["env", "-"]), new);
        }
    } else {
        patch.add(&place.path(&["env"]), Value::Array(added));
    }
}
