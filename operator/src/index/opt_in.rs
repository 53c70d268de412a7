//! Whether a pod asks for a sidecar: its own word, else its owner's, else its namespace's.

use std::collections::BTreeMap;

use llmcache_policy::names;

/// What the word in force says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptIn {
    /// A sidecar is wanted.
    Enabled,
    /// A sidecar is refused.
    Disabled,
    /// Nobody says anything.
    Silent,
    /// A value that is neither `enabled` nor `disabled`.
    Unknown,
}

/// The word in force for a pod with these annotations in a namespace with these labels.
pub fn opt_in(annotations: &BTreeMap<String, String>, namespace: &BTreeMap<String, String>) -> OptIn {
    let word = annotations
        .get(names::ANNOTATION_INJECT)
        .or_else(|| annotations.get(names::ANNOTATION_FROM_OWNER))
        .or_else(|| namespace.get(names::ANNOTATION_INJECT));
    match word.map(String::as_str) {
        None => OptIn::Silent,
        Some("enabled") => OptIn::Enabled,
        Some("disabled") => OptIn::Disabled,
        Some(_) => OptIn::Unknown,
    }
}
