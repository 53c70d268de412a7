//! Finished answers, plain or assembled from a stream: how they ended, what they hold and what they used.
//!
//! Nothing here decides whether an answer may be stored; the store's gate reads these facts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Endpoint;
use crate::usage::{Billing, Usage};

mod anthropic;
pub(crate) mod chat;
pub mod comparison;
mod embeddings;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod raw;
mod responses;
mod seen;
mod stream;
mod text;

pub use stream::StreamReader;
pub use text::text;

/// A finished answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The plain JSON answer: exactly as received when plain, assembled when streamed.
    pub body: Bytes,
    /// Tokens used; all zero when the answer does not state them.
    pub usage: Usage,
    /// Modifiers of price.
    pub billing: Billing,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// How the answer ended.
    pub finish: Finish,
    /// Holds thinking blocks, reasoning items or reasoning text.
    pub has_thinking: bool,
    /// Asks the client to run a tool.
    pub has_tool_calls: bool,
}

/// How an answer ended; of several choices, the worst.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// The model ended its turn.
    Complete,
    /// Complete, but without any content besides thinking.
    Empty,
    /// The provider reports a failed or cancelled generation.
    Failed,
    /// The provider stopped midway and expects to be asked to go on (also queued, or ended by compaction).
    Paused,
    /// The model or a filter refused.
    Refused,
    /// The model asks the client to run a tool.
    ToolUse,
    /// Cut by a token limit.
    Truncated,
    /// A word this version does not know, at most 64 bytes of it.
    Unknown(String),
}

/// Why bytes are no finished answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswer {
    /// The provider reported an error in place of, or inside, the answer.
    #[error("the provider reported an error in the answer")]
    ErrorEvent,
    /// Not the shape this endpoint answers with, or a delta that cannot be assembled.
    #[error("the answer is not in the provider's documented shape")]
    Malformed,
    /// More bytes than the reader was allowed to keep.
    #[error("the answer is larger than the bytes kept for it")]
    TooLarge,
    /// The stream ended before its terminal event.
    #[error("the stream ended before its terminal event")]
    Unfinished,
}

/// Reads a plain JSON answer; `AnthropicCountTokens` has none and is always `Malformed`.
pub fn read_plain(endpoint: Endpoint, body: Bytes) -> Result<Answer, NotAnswer> {
    match endpoint {
        Endpoint::AnthropicMessages => anthropic::judge(body),
        Endpoint::AnthropicCountTokens => Err(NotAnswer::Malformed),
        Endpoint::OpenAiChat => chat::judge(body),
        Endpoint::OpenAiResponses => responses::judge(body),
        Endpoint::OpenAiEmbeddings => embeddings::judge(body),
    }
}

impl NotAnswer {
    /// The closed word for metrics and reasons.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ErrorEvent => "error_event",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Unfinished => "unfinished",
        }
    }
}

impl Finish {
    /// The closed word for metrics and reasons; all unknown words share one.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Empty => "empty",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Refused => "refused",
            Self::ToolUse => "tool_use",
            Self::Truncated => "truncated",
            Self::Unknown(_) => "unknown",
        }
    }

    fn unknown(word: &str) -> Self {
        const MOST_BYTES: usize = 64;
        Self::Unknown(word[..word.floor_char_boundary(MOST_BYTES)].to_owned())
    }

    const fn severity(&self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::ToolUse => 1,
            Self::Empty => 2,
            Self::Unknown(_) => 3,
            Self::Paused => 4,
            Self::Truncated => 5,
            Self::Refused => 6,
            Self::Failed => 7,
        }
    }

    fn worse(self, other: Self) -> Self {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests;
