//! The closed list of reasons why a request has no key.

/// Why a request cannot have a result-cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKey {
    /// The provider would summarise the conversation.
    Compaction,
    /// Counting tokens is no answer.
    CountTokens,
    /// An object names a member twice, so readers may differ on its value.
    DuplicateMember,
    /// A token that is good for this one body.
    FallbackToken,
    /// A file at the provider, which may be deleted or replaced.
    FileContent,
    /// The provider runs a tool, whose result depends on time and place.
    HostedTool,
    /// Half a surrogate pair, which no text can represent.
    LoneSurrogate,
    /// A request that only warms the prompt cache.
    Prewarm,
    /// The provider holds part of the conversation.
    Stateful,
    /// The provider would keep the answer under an id that two clients would then share.
    StoredResponse,
    /// More items than the provider takes in one request.
    TooManyItems,
    /// A content block, item, role or tool that is not known.
    UnknownBlock,
    /// A top-level field that is not known.
    UnknownField,
    /// Content fetched from an address, which may change.
    UrlContent,
}

impl NoKey {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::Compaction,
        Self::CountTokens,
        Self::DuplicateMember,
        Self::FallbackToken,
        Self::FileContent,
        Self::HostedTool,
        Self::LoneSurrogate,
        Self::Prewarm,
        Self::Stateful,
        Self::StoredResponse,
        Self::TooManyItems,
        Self::UnknownBlock,
        Self::UnknownField,
        Self::UrlContent,
    ];

    /// Every word, for metrics that exist from the start.
    pub const WORDS: [&'static str; Self::ALL.len()] = {
        let mut words = [""; Self::ALL.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = Self::ALL[at].word();
            at += 1;
        }
        words
    };

    /// The closed word for headers and labels.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Compaction => "compaction",
            Self::CountTokens => "count_tokens",
            Self::DuplicateMember => "duplicate_member",
            Self::FallbackToken => "fallback_token",
            Self::FileContent => "file_content",
            Self::HostedTool => "hosted_tool",
            Self::LoneSurrogate => "lone_surrogate",
            Self::Prewarm => "prewarm",
            Self::Stateful => "stateful",
            Self::StoredResponse => "stored_response",
            Self::TooManyItems => "too_many_items",
            Self::UnknownBlock => "unknown_block",
            Self::UnknownField => "unknown_field",
            Self::UrlContent => "url_content",
        }
    }
}
