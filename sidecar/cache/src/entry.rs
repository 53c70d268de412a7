//! One stored answer with its life and its tags, and its form in a shared store.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Largest decoded entry in bytes: the widest `maxEntry` of a policy and room for its tags.
pub const DECODED_MAX: usize = (16 << 20) + (64 << 10);

/// What one resident entry costs beside its bytes: the struct, two counted pointers and the map's node.
const RESIDENT_OVERHEAD: usize = 320;
const COMPRESSION_LEVEL: i32 = 1;
const LENGTH: usize = size_of::<u32>();

/// One answer; `value` is opaque to this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Unix milliseconds at which the answered request started.
    pub stored_at_ms: u64,
    /// How long after `stored_at_ms` the answer is fresh.
    pub ttl: Duration,
    /// How long after `stored_at_ms` the answer may be kept at all.
    pub max_age: Duration,
    /// Ban epoch when the answered request started.
    pub epoch: u64,
    /// Tags that a ban's pattern is matched against.
    pub tags: Vec<String>,
    /// Name of the TTL class.
    pub class: String,
    /// Model that answered.
    pub model: String,
    /// The answer.
    pub value: Bytes,
}

/// An entry as read from a shared store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The entry; its epoch counts only in the process that wrote it.
    pub entry: Entry,
    /// Identity of the process that wrote it.
    pub writer: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    writer: u64,
    stored_at_ms: u64,
    ttl_ms: u64,
    max_age_ms: u64,
    epoch: u64,
    tags: Vec<String>,
    class: String,
    model: String,
}

impl Entry {
    /// Time since the answered request started; zero if the clock went back.
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.stored_at_ms))
    }

    /// What is left of the fresh life; zero once expired.
    pub fn remaining(&self, now_ms: u64) -> Duration {
        self.ttl.min(self.max_age).saturating_sub(self.age(now_ms))
    }

    /// Whether the fresh life is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.remaining(now_ms).is_zero()
    }

    /// Bytes the entry occupies in memory, bookkeeping included.
    pub fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + size_of::<String>()).sum();
        RESIDENT_OVERHEAD + self.value.len() + tags + self.class.len() + self.model.len()
    }

    /// The compressed form for a shared store; `None` if it would be longer than `DECODED_MAX`.
    pub fn encode(&self, writer: u64) -> Option<Vec<u8>> {
        let header = serde_json::to_vec(&Header {
            writer,
            stored_at_ms: self.stored_at_ms,
            ttl_ms: millis(self.ttl),
            max_age_ms: millis(self.max_age),
            epoch: self.epoch,
            tags: self.tags.clone(),
            class: self.class.clone(),
            model: self.model.clone(),
        })
        .ok()?;
        let mut plain = Vec::with_capacity(LENGTH + header.len() + self.value.len());
        plain.extend_from_slice(&u32::try_from(header.len()).ok()?.to_be_bytes());
        plain.extend_from_slice(&header);
        plain.extend_from_slice(&self.value);
        if plain.len() > DECODED_MAX {
            return None;
        }
        let packed = zstd::bulk::compress(&plain, COMPRESSION_LEVEL).ok()?;
        let mut encoded = Vec::with_capacity(LENGTH + packed.len());
        encoded.extend_from_slice(&u32::try_from(plain.len()).ok()?.to_be_bytes());
        encoded.extend_from_slice(&packed);
        Some(encoded)
    }

    /// Reads what `encode` made; anything else is `None`, and never costs more than `DECODED_MAX` bytes.
    pub fn decode(encoded: &[u8]) -> Option<Decoded> {
        let (length, packed) = length(encoded)?;
        if length > DECODED_MAX {
            return None;
        }
        let plain = Bytes::from(zstd::bulk::decompress(packed, length).ok()?);
        let (header_length, rest) = self::length(&plain)?;
        let header: Header = serde_json::from_slice(rest.get(..header_length)?).ok()?;
        let entry = Self {
            stored_at_ms: header.stored_at_ms,
            ttl: Duration::from_millis(header.ttl_ms),
            max_age: Duration::from_millis(header.max_age_ms),
            epoch: header.epoch,
            tags: header.tags,
            class: header.class,
            model: header.model,
            value: plain.slice(LENGTH + header_length..),
        };
        Some(Decoded {
            entry,
            writer: header.writer,
        })
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
