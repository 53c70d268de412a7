//! What keys and prompts leave out, by place: marks on blocks, never a member of the same name inside a tool's
//! input or a schema, which are the client's data.

use crate::json::Filter;

/// One place in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Client data: kept whole.
    Nothing,
    /// Anthropic tools.
    Tools,
    /// Anthropic tools in a key.
    KeyTools,
    /// Anthropic messages.
    Messages,
    /// Anthropic content blocks, and those nested in them.
    Blocks,
    /// The source of an Anthropic document or image.
    Source,
    /// OpenAI chat messages.
    ChatMessages,
    /// OpenAI response items.
    Items,
    /// OpenAI content parts.
    Parts,
}

impl Filter for Leave {
    fn member(self, name: &str) -> Option<Self> {
        match (self, name) {
            // Streaming a tool's input eagerly only changes how it is cut into events.
            (Self::Tools | Self::KeyTools | Self::Blocks, "cache_control")
            | (Self::KeyTools, "eager_input_streaming")
            | (Self::Parts, "prompt_cache_breakpoint") => None,
            (Self::Messages | Self::Blocks | Self::Source, "content") => Some(Self::Blocks),
            (Self::Blocks, "source") => Some(Self::Source),
            (Self::ChatMessages, "content") | (Self::Items, "content" | "output") => Some(Self::Parts),
            _ => Some(Self::Nothing),
        }
    }

    fn element(self) -> Self {
        self
    }

    fn keeps_all(self) -> bool {
        self == Self::Nothing
    }
}
