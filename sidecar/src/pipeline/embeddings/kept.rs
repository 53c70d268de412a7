//! What the cache keeps of a vector: its object as the provider wrote it, and what it takes to put it into an answer.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use llmcache_cache::entry::Entry;
use llmcache_provider::embeddings::{Space, Vector};
use serde::{Deserialize, Serialize};

/// A stored vector that may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// What it takes to put it into an answer.
    pub head: Head,
    /// The vector.
    pub vector: Vector,
    /// How old it is.
    pub age: Duration,
    /// How long it stays fresh.
    pub remaining: Duration,
}

/// What it takes to put a vector into an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Its share of the tokens that its batch was billed.
    pub tokens: u64,
    /// What the vectors of one answer must have in common.
    pub space: Space,
    /// The answer it came in, without vectors.
    pub envelope: String,
    /// Where its index stands.
    index: Range<usize>,
}

impl Kept {
    /// Reads an entry at a moment; none for anything that [`encode`] did not write.
    pub(super) fn read(entry: &Arc<Entry>, now_ms: u64) -> Option<Self> {
        let (length, rest) = entry.value.split_first_chunk::<4>()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let head: Head = serde_json::from_slice(rest.get(..end - 4)?).ok()?;
        let vector = Vector {
            object: entry.value.slice(end..),
            index: head.index.clone(),
        };
        Some(Self {
            head,
            vector,
            age: entry.age(now_ms),
            remaining: entry.remaining(now_ms),
        })
    }
}

/// Head length (4 bytes, big-endian), head as JSON, the vector's object.
pub(super) fn encode(vector: &Vector, tokens: u64, space: &Space, envelope: &[u8]) -> Bytes {
    let head = Head {
        tokens,
        space: space.clone(),
        envelope: String::from_utf8_lossy(envelope).into_owned(),
        index: vector.index.clone(),
    };
    // The head holds strings and numbers alone, which JSON can always write.
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let mut encoded = BytesMut::with_capacity(4 + head.len() + vector.object.len());
    encoded.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
    encoded.put_slice(&head);
    encoded.put_slice(&vector.object);
    encoded.freeze()
}

#[cfg(test)]
mod tests {
    use llmcache_cache::bans::Stamp;
    use llmcache_provider::embeddings::Shape;

    use llmcache_cache::entry::Layer;

    use super::*;

    fn entry(value: Bytes) -> Arc<Entry> {
        Arc::new(Entry {
            stored_at_ms: 1_000,
            ttl: Duration::from_secs(9),
            keep: Duration::from_secs(99),
            stamp: Stamp::default(),
            layer: Layer::Result,
            tags: Vec::new(),
            class: super::super::CLASS.into(),
            model: "m".into(),
            value,
        })
    }

    #[test]
    fn encoded_vector_comes_back_and_garbage_does_not() {
        let object = Bytes::from_static(br#"{"index":0,"embedding":[1]}"#);
        let vector = Vector { object, index: 9..10 };
        let space = Space {
            model: Some("m".into()),
            shape: Shape::Floats(1),
        };
        let encoded = encode(&vector, 7, &space, br#"{"data":[]}"#);
        let kept = Kept::read(&entry(encoded.clone()), 3_000).unwrap();
        assert_eq!(
            (kept.head.tokens, &kept.head.space, kept.head.envelope.as_str()),
            (7, &space, r#"{"data":[]}"#)
        );
        assert_eq!(
            (&kept.vector, kept.age, kept.remaining),
            (&vector, Duration::from_secs(2), Duration::from_secs(7))
        );
        for garbage in [&b""[..], b"\xff\xff\xff\xff{}", &encoded[..9]] {
            assert_eq!(Kept::read(&entry(Bytes::copy_from_slice(garbage)), 3_000), None);
        }
    }
}
