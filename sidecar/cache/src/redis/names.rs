//! The names of keys, under one namespace key: nothing in them can be read without it.
//!
//! ```text
//! llmcache:<namespace>:<policy>:r:{<answer>}            an answer
//! llmcache:<namespace>:<policy>:f:{<answer>}:<flight>   who is fetching it now
//! llmcache:<namespace>:<policy>:f:{<answer>}:<flight>:<claim>   what it brought that is not stored
//! llmcache:<namespace>:<policy>:b                       the log of bans
//! llmcache:<namespace>:<policy>:t:<tag>                 the answers that carry a tag
//! llmcache:<namespace>:<policy>:n:<note>                a note
//! llmcache:<namespace>:<policy>:c:<cell>                a cell
//! ```
//!
//! The braces put an answer and its flights into one slot of a Cluster.

use crate::bans::Stamp;
use crate::seal::{Digest, NamespaceKey};

/// What one namespace key names and seals.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) key: NamespaceKey,
    prefix: String,
}

impl Domain {
    pub(super) fn new(key: NamespaceKey, policy: &str) -> Self {
        let policy = short(&key, "redis policy", policy.as_bytes());
        let prefix = format!("{}{policy}:", key.prefix());
        Self { key, prefix }
    }

    pub(super) fn answer(&self, answer: &Digest) -> String {
        format!("{}r:{{{answer}}}", self.prefix)
    }

    /// Calls that began on different sides of a ban are different flights.
    pub(super) fn flight(&self, answer: &Digest, stamp: Stamp) -> String {
        format!("{}f:{{{answer}}}:{:x}-{}", self.prefix, stamp.log, stamp.epoch)
    }

    /// Each claim on a flight gives to those who wait for it alone.
    pub(super) fn given(&self, flight: &str, claim: &[u8]) -> String {
        format!("{flight}:{}", short(&self.key, "redis claim", claim))
    }

    pub(super) fn bans(&self) -> String {
        format!("{}b", self.prefix)
    }

    pub(super) fn note(&self, note: &Digest) -> String {
        format!("{}n:{note}", self.prefix)
    }

    pub(super) fn cell(&self, cell: &Digest) -> String {
        format!("{}c:{cell}", self.prefix)
    }

    pub(super) fn tag(&self, tag: &[u8]) -> String {
        format!("{}t:{}", self.prefix, short(&self.key, "redis tag", tag))
    }
}

fn short(key: &NamespaceKey, domain: &'static str, name: &[u8]) -> String {
    let mut mac = key.mac(domain);
    mac.field(name);
    hex::encode(&mac.finish().0[..16])
}
