//! The whole of what one workload executes, with its revision.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{PromptCache, ResultCache, Routing, Scope, SemanticCache, TtlClass, Upstreams};

mod pass_through;

/// What one workload executes: one compiled policy, every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Which policy, at which generation.
    pub identity: Identity,
    /// Where each provider's requests go.
    pub upstreams: Upstreams,
    /// Who may share an answer.
    pub scope: Scope,
    /// Templates of the tags each entry carries.
    pub tags: Vec<String>,
    /// In the order written; the last has no match block and is the default.
    pub ttl_classes: Vec<TtlClass>,
    /// The exact cache.
    pub result_cache: ResultCache,
    /// The cache of equivalent questions.
    #[serde(default)]
    pub semantic_cache: SemanticCache,
    /// The provider's own prefix cache.
    pub prompt_cache: PromptCache,
    /// Which model answers.
    pub routing: Routing,
    /// Bans that run by name.
    pub invalidation: Vec<Invalidation>,
    /// Store class of the install behind the in-process tier; none = answers stay in the process.
    #[serde(default)]
    pub store_class: Option<String>,
}

/// Which policy a snapshot was compiled from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Namespace of the policy.
    pub namespace: String,
    /// Name of the policy.
    pub name: String,
    /// Kubernetes uid; empty for a policy read from a file.
    pub uid: String,
    /// Kubernetes generation; 0 for a policy read from a file.
    pub generation: i64,
}

/// A ban written down in the policy, run by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalidation {
    /// Unique in the policy.
    pub name: String,
    /// Pattern over tags.
    pub pattern: String,
}

/// How far a layer acts. A block's `mode` under the ceiling of `spec.mode`, already resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Acts.
    Enforce,
    /// Decides and counts, changes nothing.
    Observe,
    /// Does not look.
    Disabled,
}

/// Content hash of a snapshot: the first six bytes of SHA-256 over its JSON, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub String);

impl Snapshot {
    /// The content hash; equal snapshots have equal revisions, whatever objects they came from.
    pub fn revision(&self) -> Revision {
        // A snapshot holds only strings, numbers and lists, which JSON can always write.
        let json = serde_json::to_vec(self).unwrap_or_default();
        Revision(hex::encode(&Sha256::digest(&json)[..6]))
    }
}

impl Mode {
    /// The lower of the layer's own mode and the ceiling.
    #[must_use]
    pub fn under(self, ceiling: Self) -> Self {
        match (self, ceiling) {
            (Self::Disabled, _) | (_, Self::Disabled) => Self::Disabled,
            (Self::Observe, _) | (_, Self::Observe) => Self::Observe,
            (Self::Enforce, Self::Enforce) => Self::Enforce,
        }
    }
}
