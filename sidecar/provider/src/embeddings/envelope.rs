//! The answer around its vectors: its model, its usage, and whatever a server adds beside them.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::answer::NotAnswer;
use crate::answer::raw::{self, Members};

/// Largest envelope kept; the provider's has about 100 bytes, and one is kept with every vector.
const MAX_BYTES: usize = 4 << 10;

/// The top level of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// Tokens billed; nothing when the answer does not say.
    pub tokens: Option<u64>,
    /// Where the list of vectors stands.
    pub(super) data: Range<usize>,
    /// Where the counts of tokens stand.
    pub(super) counts: Vec<Range<usize>>,
}

impl Envelope {
    /// Reads the top level of an answer, not its vectors.
    pub fn read(body: &[u8]) -> Result<Self, NotAnswer> {
        let members: Members<'_> = serde_json::from_slice(body).map_err(|_| NotAnswer::Malformed)?;
        let Some([data]) = members.once(["data"]) else {
            let is_error = members.find("error").is_some();
            return Err(if is_error {
                NotAnswer::ErrorEvent
            } else {
                NotAnswer::Malformed
            });
        };
        if !data.get().starts_with('[') || members.repeats("model") || members.repeats("usage") {
            return Err(NotAnswer::Malformed);
        }
        let (tokens, counts) = match members.find("usage") {
            None => (None, Vec::new()),
            Some(usage) => usage_counts(body, usage).ok_or(NotAnswer::Malformed)?,
        };
        Ok(Self {
            model: members.text("model"),
            tokens,
            data: raw::range(body, data),
            counts,
        })
    }

    /// The answer with an empty list of vectors; nothing when that is over 4 KiB.
    pub(super) fn without_data(&self, body: &[u8]) -> Option<Bytes> {
        let Range { start, end } = self.data.clone();
        let length = body.len() - (end - start) + 2;
        (length <= MAX_BYTES).then(|| [&body[..start], b"[]", &body[end..]].concat().into())
    }
}

/// The prompt's tokens and where they stand. An embedding has no other tokens, so the total says the same, and where
/// it does not, nobody can tell what was billed.
fn usage_counts(body: &[u8], usage: &RawValue) -> Option<(Option<u64>, Vec<Range<usize>>)> {
    let members = Members::read(usage)?;
    let mut tokens = None;
    let mut counts = Vec::new();
    for name in ["prompt_tokens", "total_tokens"] {
        let Some(count) = members.find(name) else { continue };
        let number: u64 = count.get().parse().ok()?;
        if members.repeats(name) || *tokens.get_or_insert(number) != number {
            return None;
        }
        counts.push(raw::range(body, count));
    }
    Some((tokens, counts))
}
