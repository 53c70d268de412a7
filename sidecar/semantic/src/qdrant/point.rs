//! A point as it lies in the server.

use std::collections::HashMap;

use qdrant_client::Payload;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::vectors_output::VectorsOptions;
use qdrant_client::qdrant::{PointId, PointStruct, ScoredPoint, Value};

use crate::index::{DIMENSIONS, Key, Partition, similarity};

/// Payload field with the hex digits of the partition.
pub(super) const PARTITION: &str = "partition";
/// Payload field with the Unix milliseconds of the end.
pub(super) const EXPIRES: &str = "expires";
const KEY: &str = "key";
const SEALED: &str = "sealed";
/// Longest sealed payload that is taken: a question has at most 128 tokens.
const MOST_SEALED: usize = 16 << 10;

/// What is kept of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// All that its request shares with those it may answer for.
    pub partition: Partition,
    /// Of the entry that answers it.
    pub key: Key,
    /// Of unit length.
    pub vector: Box<[f32; DIMENSIONS]>,
    /// Unix milliseconds at which it is no neighbour any more.
    pub expires_ms: u64,
    /// The question, sealed by the caller.
    pub sealed: Vec<u8>,
}

/// A point near enough to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// Cosine in ten-thousandths, floored; 0 for a negative one.
    pub similarity: u16,
    /// The point.
    pub point: Point,
}

impl Point {
    /// All of it but what is sealed: to be bound to that, so that no part can be exchanged for another.
    pub fn bound(partition: &Partition, key: &Key, vector: &[f32; DIMENSIONS], expires_ms: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(72 + 4 * DIMENSIONS);
        bytes.extend_from_slice(partition);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&expires_ms.to_be_bytes());
        bytes.extend(vector.iter().flat_map(|number| number.to_be_bytes()));
        bytes
    }

    pub(super) fn near(self, vector: &[f32; DIMENSIONS]) -> Near {
        Near {
            similarity: similarity(&self.vector, vector),
            point: self,
        }
    }

    pub(super) fn write(self) -> PointStruct {
        let payload = [
            (PARTITION, Value::from(hex::encode(self.partition))),
            (KEY, Value::from(hex::encode(self.key))),
            (EXPIRES, Value::from(i64::try_from(self.expires_ms).unwrap_or(i64::MAX))),
            (SEALED, Value::from(hex::encode(&self.sealed))),
        ];
        let payload = payload.map(|(name, value)| (name.to_owned(), value));
        PointStruct::new(
            id(&self.key),
            self.vector.to_vec(),
            Payload::from(HashMap::from(payload)),
        )
    }

    /// `None` where it is none of ours.
    pub(super) fn read(found: ScoredPoint) -> Option<Self> {
        let VectorsOptions::Vector(vector) = found.vectors?.vectors_options? else {
            return None;
        };
        // Servers before 1.16 write another field, whose reader in the client trusts what it reads.
        let Vector::Dense(dense) = vector.vector? else {
            return None;
        };
        let text = |name: &str| match &found.payload.get(name)?.kind {
            Some(Kind::StringValue(text)) => Some(text.as_str()),
            _ => None,
        };
        let digest = |name: &str| <[u8; 32]>::try_from(hex::decode(text(name)?).ok()?).ok();
        let Some(Kind::IntegerValue(expires_ms)) = found.payload.get(EXPIRES)?.kind else {
            return None;
        };
        let sealed = text(SEALED).filter(|sealed| sealed.len() <= 2 * MOST_SEALED)?;
        let point = Self {
            partition: digest(PARTITION)?,
            key: digest(KEY)?,
            vector: dense.data.into_boxed_slice().try_into().ok()?,
            expires_ms: u64::try_from(expires_ms).ok()?,
            sealed: hex::decode(sealed).ok()?,
        };
        Some(point)
    }
}

/// A UUID out of the first half of the key, which is a digest.
pub(super) fn id(key: &Key) -> PointId {
    let hex = hex::encode(&key[..16]);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    PointId::from(parts.join("-"))
}

/// A time as the filters of the server have numbers.
#[expect(
    clippy::cast_precision_loss,
    reason = "Unix milliseconds are exact in a float for 280 000 years"
)]
pub(super) fn number(ms: u64) -> f64 {
    ms as f64
}
