//! The form of an entry in a shared store: a sealed head, which a sweep can read without the body, and the sealed,
//! compressed body, bound to that head.
//!
//! Layout: version (1 byte), length of the sealed head (4, big-endian), sealed head (JSON), sealed body (length of the
//! plain body, 4, big-endian; zstd). Whatever does not open, or has another version, is `None`.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Entry, Layer};
use crate::bans::Stamp;
use crate::seal::NamespaceKey;

/// First byte of every value; versions ignore each other's entries.
pub(crate) const VERSION: u8 = 2;

/// Largest plain body in bytes: the widest `maxEntry` of a policy and room for the caller's own head.
const BODY_MAX: usize = (16 << 20) + (64 << 10);
/// From the start of a value, bytes within which the head of nearly every entry ends.
pub(crate) const HEAD_BYTES: usize = 8 << 10;

const COMPRESSION_LEVEL: i32 = 1;
const LENGTH: usize = size_of::<u32>();
const HEAD_AAD: &[u8] = b"head";
/// The cipher's tag ends the sealed head: it names this very head to the body.
const TAG: usize = 16;

/// What tells one written value from another without opening either: its first bytes, nonce included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    bytes: [u8; Self::LENGTH],
    length: usize,
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    stored_at_ms: u64,
    ttl_ms: u64,
    keep_ms: u64,
    log: u64,
    epoch: u64,
    /// Left out for a result, so that earlier versions read and write those alike.
    #[serde(default, skip_serializing_if = "is_result")]
    layer: Layer,
    #[serde(borrow)]
    tags: Vec<std::borrow::Cow<'a, str>>,
    class: String,
    model: String,
}

impl Seen {
    /// Version, length of the head and the head's own version and nonce.
    pub(crate) const LENGTH: usize = 1 + LENGTH + 1 + 12;

    /// Of a value as read; an absent one is empty.
    pub(crate) fn of(value: &[u8]) -> Self {
        let mut seen = Self::default();
        for (to, from) in seen.bytes.iter_mut().zip(value) {
            *to = *from;
            seen.length += 1;
        }
        seen
    }

    /// The bytes themselves.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Entry {
    /// Seals the entry for the store key `name`; `None` if it is too large or the system gives no random bytes.
    pub(crate) fn seal(&self, key: &NamespaceKey, name: &[u8]) -> Option<Vec<u8>> {
        let head = serde_json::to_vec(&Head {
            stored_at_ms: self.stored_at_ms,
            ttl_ms: millis(self.ttl),
            keep_ms: millis(self.keep),
            log: self.stamp.log,
            epoch: self.stamp.epoch,
            layer: self.layer,
            tags: self.tags.iter().map(Into::into).collect(),
            class: self.class.clone(),
            model: self.model.clone(),
        })
        .ok()?;
        let head = key.seal(name, HEAD_AAD, &head).ok()?;
        let body = key.seal(name, head.last_chunk::<TAG>()?, &pack(&self.value)?).ok()?;
        let mut value = Vec::with_capacity(1 + LENGTH + head.len() + body.len());
        value.push(VERSION);
        value.extend_from_slice(&u32::try_from(head.len()).ok()?.to_be_bytes());
        value.extend_from_slice(&head);
        value.extend_from_slice(&body);
        Some(value)
    }

    /// Opens a whole value; it never costs more than the largest body.
    pub(crate) fn open(key: &NamespaceKey, name: &[u8], value: &[u8]) -> Option<Self> {
        let (head, body) = parts(value)?;
        let plain = key.open(name, head.last_chunk::<TAG>()?, body)?;
        Some(Self {
            value: unpack(&plain)?,
            ..read_head(key, name, head)?
        })
    }

    /// Opens the head of a value of which only the beginning may be there; the body is left empty.
    pub(crate) fn open_head(key: &NamespaceKey, name: &[u8], value: &[u8]) -> Option<Self> {
        read_head(key, name, parts(value)?.0)
    }
}

/// Compresses behind the plain length; `None` for more than the largest body.
pub(crate) fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() > BODY_MAX {
        return None;
    }
    let packed = zstd::bulk::compress(plain, COMPRESSION_LEVEL).ok()?;
    Some([&u32::try_from(plain.len()).ok()?.to_be_bytes()[..], &packed].concat())
}

/// Reads what `pack` made; it never costs more than the largest body.
pub(crate) fn unpack(packed: &[u8]) -> Option<Bytes> {
    let (length, packed) = length(packed)?;
    if length > BODY_MAX {
        return None;
    }
    zstd::bulk::decompress(packed, length).ok().map(Bytes::from)
}

fn read_head(key: &NamespaceKey, name: &[u8], sealed: &[u8]) -> Option<Entry> {
    let plain = key.open(name, HEAD_AAD, sealed)?;
    let head: Head<'_> = serde_json::from_slice(&plain).ok()?;
    Some(Entry {
        stored_at_ms: head.stored_at_ms,
        ttl: Duration::from_millis(head.ttl_ms),
        keep: Duration::from_millis(head.keep_ms),
        stamp: Stamp {
            log: head.log,
            epoch: head.epoch,
        },
        layer: head.layer,
        tags: head.tags.into_iter().map(Into::into).collect(),
        class: head.class,
        model: head.model,
        value: Bytes::new(),
    })
}

/// The sealed head and what follows it.
fn parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&version, rest) = value.split_first()?;
    let (length, rest) = length(rest)?;
    (version == VERSION).then_some(())?;
    rest.split_at_checked(length)
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_result(layer: &Layer) -> bool {
    *layer == Layer::Result
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
