//! Who asked for injection: the pod's own word before its owner's, before its namespace's.

use llmcache_policy::names::{ANNOTATION_FROM_OWNER, ANNOTATION_INJECT};
use serde_json::Value;

use super::Namespace;
use super::read::{annotation, quoted};

/// What the most specific word says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nobody said anything.
    Absent,
    Disabled(Origin),
    Enabled(Origin),
    /// A word that is neither.
    Unclear {
        origin: Origin,
        word: String,
    },
}

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Pod,
    Owner,
    Namespace,
}

/// The wish that holds for a pod.
pub(super) fn wish(pod: &Value, namespace: &Namespace) -> Wish {
    let words = [
        (Origin::Pod, annotation(pod, ANNOTATION_INJECT)),
        (Origin::Owner, annotation(pod, ANNOTATION_FROM_OWNER)),
        (Origin::Namespace, namespace.word.as_deref()),
    ];
    let found = words
        .into_iter()
        .find_map(|(origin, word)| word.map(|word| (origin, word)));
    match found {
        None => Wish::Absent,
        Some((origin, "enabled")) => Wish::Enabled(origin),
        Some((origin, "disabled")) => Wish::Disabled(origin),
        Some((origin, word)) => Wish::Unclear {
            origin,
            word: word.to_owned(),
        },
    }
}

impl Origin {
    /// What to tell somebody whose word is neither `enabled` nor `disabled`.
    pub(super) fn warning(self, word: &str) -> String {
        let (place, name) = match self {
            Self::Pod => ("annotation", ANNOTATION_INJECT),
            Self::Owner => ("annotation", ANNOTATION_FROM_OWNER),
            Self::Namespace => ("namespace label", ANNOTATION_INJECT),
        };
        let word = quoted(word);
        format!(
            "{place} {name}: {word} is neither \"enabled\" nor \"disabled\", so nothing is injected; write \"enabled\""
        )
    }
}
