//! Kind and names: what every Kubernetes object must have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{Problem, definition::Definition, problem::Problems, suggest::nearest};

const VERSION: &str = "llmcache.dev/v1alpha1";
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// What people write; the rest is filled in by the API server and found in an object copied out of it.
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Judges everything but `spec`.
pub(super) fn check(object: &Value, definition: &Definition, problems: &mut Problems<'_>) {
    let kind = definition.kind;
    let Some(members) = object.as_object() else {
        let fix = "write apiVersion, kind, metadata and spec";
        problems.push("", Some(object), "is not an object", kind, fix);
        return;
    };
    for (field, expected) in [("apiVersion", VERSION), ("kind", kind)] {
        if members.get(field) != Some(&expected.into()) {
            let fix = format!("write {field}: {expected}");
            let message = "is not a kind this program knows";
            problems.push(field, members.get(field), message, expected, &fix);
        }
    }
    unknown(object, "", &TOP, problems);
    let metadata = &object["metadata"];
    unknown(metadata, "metadata", &METADATA, problems);
    let is_required = !(definition.is_nameless && metadata["generateName"].is_string());
    name(metadata, "name", 253, is_required, problems);
    name(metadata, "namespace", 63, false, problems);
    for field in ["labels", "annotations"] {
        for (name, value) in metadata[field].as_object().into_iter().flatten() {
            if !value.is_string() {
                let path = format!("metadata.{field}.{name}");
                let written = problems.bare(&path).map_or_else(|| value.to_string(), String::from);
                let fix = format!("write it in quotes: \"{written}\"");
                problems.push_words(&path, &written, "is not text", "text", &fix);
            }
        }
    }
}

/// Two objects of one kind and file may not share a name.
pub(super) fn repetitions<'a>(kind: &str, objects: impl Iterator<Item = &'a ObjectMeta>) -> Vec<Problem> {
    let objects: Vec<_> = objects.collect();
    let is_same = |one: &ObjectMeta, other: &ObjectMeta| one.namespace == other.namespace && one.name == other.name;
    let repeated = objects.iter().enumerate().filter(|(index, metadata)| {
        let mut earlier = objects[..*index].iter();
        metadata.name.is_some() && earlier.any(|earlier| is_same(earlier, metadata))
    });
    repeated
        .map(|(_, metadata)| {
            let message = format!("two {kind} of the file have this name");
            let mut problem = Problem::of_file(&message, "rename one of them");
            problem.path = "metadata.name".into();
            problem.value.clone_from(&metadata.name);
            problem.allowed = "names unique in their namespace".into();
            problem
        })
        .collect()
}

fn unknown(object: &Value, path: &str, names: &[&str], problems: &mut Problems<'_>) {
    let members = object.as_object().into_iter().flatten();
    for (name, value) in members.filter(|(name, _)| !names.contains(&name.as_str())) {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let fix = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "remove it".into(),
        };
        let allowed = names[..names.len().min(5)].join(", ");
        problems.push(&path, Some(value), "is no field here", &allowed, &fix);
    }
}

fn name(metadata: &Value, field: &str, most: usize, is_required: bool, problems: &mut Problems<'_>) {
    let path = format!("metadata.{field}");
    let allowed = format!("1…{most} lower-case letters, digits, inner hyphens and, in names, dots");
    let Some(value) = metadata.get(field) else {
        if is_required {
            let fix = "add a name, such as support-bot";
            problems.push(&path, None, "is missing", &allowed, fix);
        }
        return;
    };
    if let Some(word) = problems.bare(&path) {
        let message = "is a boolean in YAML 1.1 without quotes";
        let fix = format!("write \"{word}\" in quotes");
        problems.push_words(&path, word, message, &allowed, &fix);
        return;
    }
    let is_name = value
        .as_str()
        .is_some_and(|name| name.len() <= most && name.split('.').all(is_label) && (most > 63 || !name.contains('.')));
    if !is_name {
        let fix = "write a name such as support-bot";
        problems.push(&path, Some(value), "is no name", &allowed, fix);
    }
}

/// Whether a text is a DNS label (RFC 1123), without its limit of 63.
fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}
