//! What routing remembers: the choice for each conversation, and the pairs a provider refused.
//!
//! A tier is kept before the ceiling is applied, so that a client who asks for another model in the same conversation
//! is judged by what it asks for.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::seal::{Digest, NamespaceKey};
use moka::sync::Cache;

use crate::pipeline::parse::Call;
use crate::pipeline::scope::Scope;

/// A conversation idle for a day starts anew.
const CONVERSATION_IDLE: Duration = Duration::from_hours(24);
const MAX_CONVERSATIONS: u64 = 65_536;
/// Time after which a refused model is tried again.
const AVOID: Duration = Duration::from_mins(10);
const MAX_AVOIDED: u64 = 4_096;

/// What was chosen for a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A tier of the policy, by name.
    Tier(Arc<str>),
    /// This requested model stays, because the tier's would not do; another is judged afresh.
    Kept(Arc<str>),
}

/// Bounded, in-process memory of choices.
pub(crate) struct Memory {
    key: NamespaceKey,
    policy: String,
    choices: Cache<Digest, Choice>,
    avoided: Cache<Digest, ()>,
}

impl Memory {
    /// An empty memory of one policy.
    pub(crate) fn new(key: NamespaceKey, policy: String) -> Self {
        let choices = Cache::builder()
            .max_capacity(MAX_CONVERSATIONS)
            .time_to_idle(CONVERSATION_IDLE)
            .build();
        let avoided = Cache::builder().max_capacity(MAX_AVOIDED).time_to_live(AVOID).build();
        Self {
            key,
            policy,
            choices,
            avoided,
        }
    }

    /// Names a conversation: tools, system and messages through the first of the user, within a scope.
    pub(crate) fn prefix(&self, scope: &Scope, call: &Call) -> Digest {
        let mut mac = self.key.mac("routing");
        mac.field(self.policy.as_bytes()).field(&scope.digest.0);
        call.request.write_conversation(&mut |bytes| {
            mac.update(bytes);
        });
        mac.finish()
    }

    /// What was chosen for a conversation; asking keeps it alive.
    pub(crate) fn recall(&self, prefix: &Digest) -> Option<Choice> {
        self.choices.get(prefix)
    }

    /// Keeps the choice of a conversation.
    pub(crate) fn remember(&self, prefix: Digest, choice: Choice) {
        self.choices.insert(prefix, choice);
    }

    /// Leaves a pair alone for 10 minutes: the provider refused `chosen` for a request of this scope.
    pub(crate) fn avoid(&self, scope: &Scope, requested: &str, chosen: &str) {
        self.avoided.insert(self.pair(scope, requested, chosen), ());
    }

    /// Whether a pair is left alone.
    pub(crate) fn is_avoided(&self, scope: &Scope, requested: &str, chosen: &str) -> bool {
        self.avoided.contains_key(&self.pair(scope, requested, chosen))
    }

    fn pair(&self, scope: &Scope, requested: &str, chosen: &str) -> Digest {
        let mut mac = self.key.mac("avoided");
        mac.field(&scope.digest.0)
            .field(requested.as_bytes())
            .field(chosen.as_bytes());
        mac.finish()
    }
}
