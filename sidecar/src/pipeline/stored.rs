//! What the result cache keeps of an answer: the plain body as the provider sent it (or as assembled from a stream)
//! behind a small head that says who may see what.

use bytes::{BufMut, Bytes, BytesMut};
use llmcache_cache::seal::Digest;
use llmcache_provider::answer::Answer;
use llmcache_provider::usage::{Billing, Usage};
use serde::{Deserialize, Serialize};

/// An answer to be replayed.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// What decides how it may be replayed.
    pub head: Head,
    /// The plain JSON answer.
    pub body: Bytes,
}

/// What decides how an answer may be replayed, and what it would have cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Model asked for it.
    pub model: String,
    /// Tokens the provider billed for it.
    pub usage: Usage,
    /// Modifiers of its price.
    pub billing: Billing,
    /// It holds thinking or reasoning.
    pub has_thinking: bool,
    /// It calls tools.
    pub has_tool_calls: bool,
    /// Digest of the prompt's exact bytes, where the answer holds thinking.
    pub exact: Option<[u8; 32]>,
    /// Digest of the credential it was bought with.
    pub credential: [u8; 32],
}

/// How much of an answer may be shown to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of it.
    Whole,
    /// All but its thinking.
    WithoutThinking,
    /// Nothing: a miss.
    Nothing,
}

impl Stored {
    /// From a finished answer.
    pub(crate) fn new(answer: Answer, model: &str, exact: impl FnOnce() -> Digest, credential: Digest) -> Self {
        let Answer {
            body,
            usage,
            billing,
            model: _,
            finish: _,
            has_thinking,
            has_tool_calls,
        } = answer;
        let head = Head {
            model: model.to_owned(),
            usage,
            billing,
            has_thinking,
            has_tool_calls,
            exact: has_thinking.then(|| exact().0),
            credential: credential.0,
        };
        Self { head, body }
    }

    /// Thinking is bound to the prompt's bytes and the account that bought it; an answer that goes on with a tool
    /// call needs its thinking next turn, so it is not shown without.
    pub(crate) fn share(&self, exact: impl FnOnce() -> Digest, credential: Digest) -> Share {
        match &self.head {
            Head {
                has_thinking: false, ..
            } => Share::Whole,
            head if head.credential == credential.0 && head.exact == Some(exact().0) => Share::Whole,
            Head {
                has_tool_calls: false, ..
            } => Share::WithoutThinking,
            Head { .. } => Share::Nothing,
        }
    }

    /// Head length (4 bytes, big-endian), head as JSON, body.
    pub(crate) fn encode(&self) -> Bytes {
        // The head holds strings, numbers and booleans alone, which JSON can always write.
        let head = serde_json::to_vec(&self.head).unwrap_or_default();
        let mut encoded = BytesMut::with_capacity(4 + head.len() + self.body.len());
        encoded.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
        encoded.put_slice(&head);
        encoded.put_slice(&self.body);
        encoded.freeze()
    }

    /// What [`encode`](Self::encode) wrote; the body shares its memory. None for anything else.
    pub(crate) fn decode(encoded: &Bytes) -> Option<Self> {
        let (length, rest) = encoded.split_first_chunk::<4>()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let head = serde_json::from_slice(rest.get(..end - 4)?).ok()?;
        Some(Self {
            head,
            body: encoded.slice(end..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(has_thinking: bool, has_tool_calls: bool) -> Stored {
        let head = Head {
            model: "m".into(),
            usage: Usage::default(),
            billing: Billing::default(),
            has_thinking,
            has_tool_calls,
            exact: Some([1; 32]),
            credential: [2; 32],
        };
        Stored {
            head,
            body: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn thinking_is_shown_only_to_the_same_bytes_and_account() {
        let (exact, credential, other) = (Digest([1; 32]), Digest([2; 32]), Digest([3; 32]));
        assert_eq!(stored(false, true).share(|| other, other), Share::Whole);
        assert_eq!(stored(true, false).share(|| exact, credential), Share::Whole);
        assert_eq!(stored(true, false).share(|| exact, other), Share::WithoutThinking);
        assert_eq!(stored(true, false).share(|| other, credential), Share::WithoutThinking);
        assert_eq!(stored(true, true).share(|| other, credential), Share::Nothing);
    }

    #[test]
    fn encoded_answer_comes_back_and_garbage_does_not() {
        let encoded = stored(true, false).encode();
        let back = Stored::decode(&encoded).unwrap();
        assert_eq!((back.head.exact, &back.body[..]), (Some([1; 32]), &b"{}"[..]));
        assert!(Stored::decode(&Bytes::from_static(b"\xff\xff\xff\xff{}")).is_none());
        assert!(Stored::decode(&encoded.slice(..9)).is_none());
    }
}
