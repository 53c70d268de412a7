//! One stored answer with its life, its tags and its place in the order of bans.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bans::Stamp;

#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use wire::Seen;

/// What one resident entry costs beside its bytes: the struct, two counted pointers and the map's node.
const RESIDENT_OVERHEAD: usize = 320;

/// The cache that an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// It answers the very same request.
    #[default]
    Result,
    /// It answers equivalent questions.
    Semantic,
}

/// One answer; `value` is opaque to this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unix milliseconds at which the answered request started.
    pub stored_at_ms: u64,
    /// How long after `stored_at_ms` the answer is fresh.
    pub ttl: Duration,
    /// How long after `stored_at_ms` the answer may be kept at all, `ttl` and staleness included.
    pub keep: Duration,
    /// Where the answered request stands in the order of bans.
    pub stamp: Stamp,
    /// The cache it belongs to.
    pub layer: Layer,
    /// Tags that a ban's pattern is matched against.
    pub tags: Vec<String>,
    /// Name of the TTL class.
    pub class: String,
    /// Model that answered.
    pub model: String,
    /// The answer.
    pub value: Bytes,
}

impl Entry {
    /// Time since the answered request started; zero if the clock went back.
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.stored_at_ms))
    }

    /// What is left of the fresh life; zero once it is over.
    pub fn remaining(&self, now_ms: u64) -> Duration {
        self.ttl.min(self.keep).saturating_sub(self.age(now_ms))
    }

    /// How long the fresh life has been over; `None` while it lasts.
    pub fn staleness(&self, now_ms: u64) -> Option<Duration> {
        self.age(now_ms).checked_sub(self.ttl.min(self.keep))
    }

    /// Whether it must not be served any more, not even as stale.
    pub fn is_dead(&self, now_ms: u64) -> bool {
        self.age(now_ms) >= self.keep
    }

    /// The entry under a policy that lets it be fresh no longer than `ttl` and kept no longer than `keep`.
    #[must_use]
    pub fn within(self: &Arc<Self>, ttl: Duration, keep: Duration) -> Arc<Self> {
        if self.ttl <= ttl && self.keep <= keep {
            return self.clone();
        }
        Arc::new(Self {
            ttl: self.ttl.min(ttl),
            keep: self.keep.min(keep),
            ..Self::clone(self)
        })
    }

    /// Bytes the entry occupies in memory, bookkeeping included.
    pub fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum();
        RESIDENT_OVERHEAD + self.value.len() + tags + self.class.len() + self.model.len()
    }
}
