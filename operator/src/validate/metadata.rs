//! Kind and names: what every Kubernetes object must have.

use llmcache_crds::LLMCachePolicy;
use serde_json::Value;

use super::{Problem, Validated, Warning, problem::Problems, suggest::nearest};

const VERSION: &str = "llmcache.dev/v1alpha1";
const KIND: &str = "LLMCachePolicy";
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// What people write; the rest is filled in by the API server and found in a policy copied out of it.
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
pub(super) fn check(object: &Value, problems: &mut Problems<'_>) {
    let Some(members) = object.as_object() else {
        let fix = "write apiVersion, kind, metadata and spec";
        problems.push("", Some(object), "is not an object", KIND, fix);
        return;
    };
    for (field, expected) in [("apiVersion", VERSION), ("kind", KIND)] {
        if members.get(field) != Some(&expected.into()) {
            let fix = format!("write {field}: {expected}");
            let message = "is not a kind this program knows";
            problems.push(field, members.get(field), message, expected, &fix);
        }
    }
    unknown(object, "", &TOP, problems);
    let metadata = &object["metadata"];
    unknown(metadata, "metadata", &METADATA, problems);
    name(metadata, "name", 253, true, problems);
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

/// Two policies of one file may not share a name.
pub(super) fn repetitions(policies: &[(Validated, Vec<Warning>)]) -> Vec<Problem> {
    let name = |policy: &LLMCachePolicy| {
        let metadata = &policy.metadata;
        (metadata.namespace.clone(), metadata.name.clone())
    };
    let repeated = policies.iter().enumerate().filter(|(index, (policy, _))| {
        policies[..*index]
            .iter()
            .any(|(earlier, _)| name(earlier.policy()) == name(policy.policy()))
    });
    repeated
        .map(|(_, (policy, _))| {
            let mut problem = Problem::of_file("two policies of the file have this name", "rename one of them");
            problem.path = "metadata.name".into();
            problem.value.clone_from(&policy.policy().metadata.name);
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
