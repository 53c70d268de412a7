//! What routing remembers: the choice for each conversation, and the pairs a provider refused.
//!
//! Choices are also noted in the shared store, behind the request, for the processes in which a conversation goes on.
//! What is known here counts; the store is asked only for what began elsewhere. Refused pairs stay in this process.
//!
//! A tier is kept before the ceiling is applied, so that a client who asks for another model in the same conversation
//! is judged by what it asks for.

use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::budget::Deadline;
use llmcache_cache::redis::{Note, Notes, Over};
use llmcache_cache::seal::{Digest, Keyring, Keys, NamespaceKey};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::pipeline::Pipeline;
use crate::pipeline::parse::Call;
use crate::pipeline::scope::{self, Scope};

/// A conversation idle for a day starts anew.
pub(crate) const CONVERSATION_IDLE: Duration = Duration::from_hours(24);
/// Time after which a choice that is still in use is noted again: the store's day goes on.
const NOTE_AGAIN: Duration = Duration::from_hours(1);
const MAX_CONVERSATIONS: u64 = 65_536;
/// Time after which a refused model is tried again.
const AVOID: Duration = Duration::from_mins(10);
const MAX_AVOIDED: u64 = 4_096;

/// How a note begins; the name follows.
const TIER: &[u8] = b"tier=";
const KEPT: &[u8] = b"kept=";

/// What was chosen for a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A tier of the policy, by name.
    Tier(Arc<str>),
    /// This requested model stays, because the tier's would not do; another is judged afresh.
    Kept(Arc<str>),
}

/// A conversation, as far as routing can tell it from others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversation {
    /// Names it.
    pub prefix: Digest,
    /// The model has spoken in it: some process has chosen.
    pub has_begun: bool,
}

/// Bounded memory of choices.
pub(crate) struct Memory {
    keys: Keyring,
    policy: String,
    choices: Cache<Digest, Arc<Known>>,
    notes: Option<Notes>,
    avoided: Cache<Digest, ()>,
}

struct Known {
    choice: Choice,
    note_at: Mutex<Instant>,
}

impl Memory {
    /// An empty memory of one policy, with the notes that it shares with other processes.
    pub(crate) fn new(keys: Keyring, policy: String, notes: Option<Notes>) -> Self {
        let choices = Cache::builder()
            .max_capacity(MAX_CONVERSATIONS)
            .time_to_idle(CONVERSATION_IDLE)
            .build();
        let avoided = Cache::builder().max_capacity(MAX_AVOIDED).time_to_live(AVOID).build();
        Self {
            keys,
            policy,
            choices,
            notes,
            avoided,
        }
    }

    /// Names a conversation: tools, system and messages through the first of the user, within a scope.
    pub(crate) fn conversation(&self, scope: &Scope, call: &Call) -> Conversation {
        self.conversation_under(&self.keys.newest, scope, call)
    }

    fn conversation_under(&self, key: &NamespaceKey, scope: &Scope, call: &Call) -> Conversation {
        let mut mac = key.mac("routing");
        mac.field(self.policy.as_bytes()).field(&scope.digest.0);
        let has_begun = call.request.write_conversation(&mut |bytes| {
            mac.update(bytes);
        });
        Conversation {
            prefix: mac.finish(),
            has_begun,
        }
    }

    /// What was chosen for a conversation; asking keeps it alive.
    pub(crate) fn recall(&self, prefix: &Digest) -> Option<Choice> {
        let known = self.choices.get(prefix)?;
        if known.is_due(Instant::now()) {
            self.note(*prefix, &known.choice, Over::Keep);
        }
        Some(known.choice.clone())
    }

    /// Keeps the choice of a conversation. The store's stays, if another process has made one that is not known here.
    pub(crate) fn remember(&self, prefix: Digest, choice: Choice) {
        let is_first = !self.choices.contains_key(&prefix);
        self.note(prefix, &choice, if is_first { Over::Keep } else { Over::Replace });
        self.learn(prefix, choice, CONVERSATION_IDLE);
    }

    /// Keeps the choice that takes the place of a conversation's first, which the provider refused.
    pub(crate) fn replace(&self, prefix: Digest, choice: Choice) {
        self.note(prefix, &choice, Over::Replace);
        self.learn(prefix, choice, CONVERSATION_IDLE);
    }

    /// Whether only the store can know the choice of a conversation.
    pub(crate) fn is_elsewhere(&self, conversation: &Conversation) -> bool {
        self.notes.is_some() && conversation.has_begun && !self.choices.contains_key(&conversation.prefix)
    }

    /// Asks the store for the choice of a conversation; what it says before the deadline is known from then on.
    pub(crate) async fn fetch(&self, pipeline: &Pipeline, call: &Call, prefix: Digest, deadline: Deadline) {
        let Some(notes) = &self.notes else { return };
        let previous = self.keys.previous.as_ref().and_then(|key| {
            let scope = scope::identify(key, &pipeline.snapshot, pipeline.service_account(), call).ok()?;
            Some(self.conversation_under(key, &scope, call).prefix)
        });
        let keys = Keys {
            newest: prefix,
            previous,
        };
        if let Some(Note { value, left }) = notes.read(&keys, deadline).await
            && let Some(choice) = Choice::read(&value)
        {
            self.learn(prefix, choice, left);
        }
    }

    /// `left` of the life of its note.
    fn learn(&self, prefix: Digest, choice: Choice, left: Duration) {
        let unused = CONVERSATION_IDLE.saturating_sub(left);
        let known = Known {
            choice,
            note_at: Mutex::new(Instant::now() + NOTE_AGAIN.saturating_sub(unused)),
        };
        self.choices.insert(prefix, Arc::new(known));
    }

    fn note(&self, prefix: Digest, choice: &Choice, over: Over) {
        if let Some(notes) = &self.notes {
            notes.write(prefix, choice.write(), over);
        }
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
        let mut mac = self.keys.newest.mac("avoided");
        mac.field(&scope.digest.0)
            .field(requested.as_bytes())
            .field(chosen.as_bytes());
        mac.finish()
    }
}

impl Known {
    /// Whether it is to be noted again; true once, until the next time.
    fn is_due(&self, now: Instant) -> bool {
        let mut note_at = self.note_at.lock();
        let is_due = *note_at <= now;
        if is_due {
            *note_at = now + NOTE_AGAIN;
        }
        is_due
    }
}

impl Choice {
    fn write(&self) -> Vec<u8> {
        let (word, name) = match self {
            Self::Tier(name) => (TIER, name),
            Self::Kept(model) => (KEPT, model),
        };
        [word, name.as_bytes()].concat()
    }

    /// None for what no process of this version writes.
    fn read(note: &[u8]) -> Option<Self> {
        let note = std::str::from_utf8(note).ok()?;
        let (word, name) = note.split_at_checked(TIER.len())?;
        match word.as_bytes() {
            TIER => Some(Self::Tier(name.into())),
            KEPT => Some(Self::Kept(name.into())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_comes_back_from_its_note_and_nothing_else_does() {
        for choice in [Choice::Tier("haiku".into()), Choice::Kept("claude-opus-5-5".into())] {
            assert_eq!(Choice::read(&choice.write()), Some(choice));
        }
        for foreign in [
            &b""[..],
            b"haiku",
            b"tie",
            b"other=haiku",
            b"tier",
            b"tier=\xff",
            b"\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(Choice::read(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_choice_in_use_is_noted_again_once_an_hour_counted_from_its_last_note() {
        let memory = Memory::new(NamespaceKey::random().unwrap().into(), "test".into(), None);
        let prefix = Digest([1; 32]);
        let now = Instant::now();
        let known = |unused| {
            let left = CONVERSATION_IDLE.saturating_sub(unused);
            memory.learn(prefix, Choice::Tier("haiku".into()), left);
            memory.choices.get(&prefix).unwrap()
        };
        let fresh = known(Duration::ZERO);
        assert!(!fresh.is_due(now));
        assert!(fresh.is_due(now + 2 * NOTE_AGAIN));
        assert!(!fresh.is_due(now + 2 * NOTE_AGAIN));
        assert!(known(2 * NOTE_AGAIN).is_due(Instant::now()));
        let later = known(NOTE_AGAIN / 2);
        assert!(!later.is_due(now));
        assert!(later.is_due(now + NOTE_AGAIN));
        assert!(known(CONVERSATION_IDLE).is_due(Instant::now()));
    }
}
