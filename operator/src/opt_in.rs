//! Whether a pod asks for a sidecar: its own word before its owner's, before its namespace's. Pure; the one place where
//! this is decided.

use llmcache_policy::names::{ANNOTATION_FROM_OWNER, ANNOTATION_INJECT};

#[cfg(test)]
mod tests;

/// What the most specific word says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nobody says anything.
    Absent,
    /// A sidecar is refused.
    Disabled(Origin),
    /// A sidecar is wanted.
    Enabled(Origin),
    /// A word that is neither `enabled` nor `disabled`; nothing is injected.
    Unclear {
        /// Where it stands.
        origin: Origin,
        /// It.
        word: String,
    },
}

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The pod's own annotation.
    Pod,
    /// Its owner's annotation, or the copy of it that the pod carries.
    Owner,
    /// Its namespace's label.
    Namespace,
}

/// The wish that holds for a pod whose annotation `annotation` finds by its name, in a namespace whose label says this.
pub fn wish<'a>(annotation: impl Fn(&str) -> Option<&'a str>, namespace: Option<&str>) -> Wish {
    let own = annotation(ANNOTATION_INJECT).map(|word| Origin::Pod.says(word));
    let owners = || annotation(ANNOTATION_FROM_OWNER).map(|word| Origin::Owner.says(word));
    let labelled = || namespace.map(|word| Origin::Namespace.says(word));
    own.or_else(owners).or_else(labelled).unwrap_or(Wish::Absent)
}

impl Wish {
    /// Whether a sidecar is wanted.
    pub fn is_enabled(&self) -> bool {
        matches!(self, Self::Enabled(_))
    }
}

impl Origin {
    /// The wish that a word means at this place.
    pub fn says(self, word: &str) -> Wish {
        match word {
            "enabled" => Wish::Enabled(self),
            "disabled" => Wish::Disabled(self),
            other => Wish::Unclear {
                origin: self,
                word: other.to_owned(),
            },
        }
    }
}
