//! Which provider and which typed endpoint a request path means.

use http::Method;
use serde::Deserialize;

/// A provider whose wire format is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Anthropic's API, and what speaks it.
    Anthropic,
    /// OpenAI's API, and what speaks it.
    OpenAi,
}

/// An endpoint whose requests and answers are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// `POST /v1/messages`.
    AnthropicMessages,
    /// `POST /v1/messages/count_tokens`: parsed for routing alone.
    AnthropicCountTokens,
    /// `POST /v1/chat/completions`.
    OpenAiChat,
    /// `POST /v1/responses`.
    OpenAiResponses,
    /// `POST /v1/embeddings`: cached by item of its input.
    OpenAiEmbeddings,
}

impl Provider {
    /// The policy's and the price table's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
        }
    }
}

impl Endpoint {
    /// Every endpoint, for metrics that exist from the start.
    pub const ALL: [Self; 5] = [
        Self::AnthropicMessages,
        Self::AnthropicCountTokens,
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::OpenAiEmbeddings,
    ];

    /// Whose endpoint it is.
    pub fn provider(self) -> Provider {
        match self {
            Self::AnthropicMessages | Self::AnthropicCountTokens => Provider::Anthropic,
            Self::OpenAiChat | Self::OpenAiResponses | Self::OpenAiEmbeddings => Provider::OpenAi,
        }
    }

    /// The metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "messages",
            Self::AnthropicCountTokens => "count_tokens",
            Self::OpenAiChat => "chat_completions",
            Self::OpenAiResponses => "responses",
            Self::OpenAiEmbeddings => "embeddings",
        }
    }
}

/// The endpoint of `path`: what follows `/anthropic` or `/openai` in the request target, with or without a query.
///
/// The version segment is optional because some clients append the bare resource to the base URL they are given.
/// A trailing slash names another resource to both providers, so it resolves to nothing.
pub fn resolve(provider: Provider, method: &Method, path: &str) -> Option<Endpoint> {
    if method != Method::POST {
        return None;
    }
    let path = path.split_once('?').map_or(path, |(path, _query)| path);
    match (provider, path.strip_prefix("/v1").unwrap_or(path)) {
        (Provider::Anthropic, "/messages") => Some(Endpoint::AnthropicMessages),
        (Provider::Anthropic, "/messages/count_tokens") => Some(Endpoint::AnthropicCountTokens),
        (Provider::OpenAi, "/chat/completions") => Some(Endpoint::OpenAiChat),
        (Provider::OpenAi, "/responses") => Some(Endpoint::OpenAiResponses),
        (Provider::OpenAi, "/embeddings") => Some(Endpoint::OpenAiEmbeddings),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_clients_send_are_resolved() {
        let cases = [
            (Provider::Anthropic, "/v1/messages", Endpoint::AnthropicMessages),
            (Provider::Anthropic, "/messages", Endpoint::AnthropicMessages),
            (
                Provider::Anthropic,
                "/v1/messages?beta=true",
                Endpoint::AnthropicMessages,
            ),
            (
                Provider::Anthropic,
                "/v1/messages/count_tokens?beta=true",
                Endpoint::AnthropicCountTokens,
            ),
            (Provider::OpenAi, "/v1/chat/completions", Endpoint::OpenAiChat),
            (Provider::OpenAi, "/chat/completions", Endpoint::OpenAiChat),
            (Provider::OpenAi, "/v1/responses", Endpoint::OpenAiResponses),
            (Provider::OpenAi, "/responses", Endpoint::OpenAiResponses),
            (Provider::OpenAi, "/v1/embeddings", Endpoint::OpenAiEmbeddings),
            (Provider::OpenAi, "/embeddings", Endpoint::OpenAiEmbeddings),
        ];
        for (provider, path, endpoint) in cases {
            assert_eq!(resolve(provider, &Method::POST, path), Some(endpoint), "{path}");
            assert_eq!(endpoint.provider(), provider);
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        for path in [
            "/v1/messages/",
            "/v1/messages/batches",
            "/v1/v1/messages",
            "v1/messages",
            "/v1beta/messages",
            "/v1messages",
            "/v1/models",
            "/v1/complete",
            "/v1/chat/completions",
            "/v1/embeddings",
            "",
            "/",
            "/v1",
            "?/v1/messages",
        ] {
            assert_eq!(resolve(Provider::Anthropic, &Method::POST, path), None, "{path}");
        }
        for path in [
            "/v1/messages",
            "/v1/responses/resp_1",
            "/v1/responses/compact",
            "/v1/embeddings/",
            "/v1/chat",
        ] {
            assert_eq!(resolve(Provider::OpenAi, &Method::POST, path), None, "{path}");
        }
        assert_eq!(resolve(Provider::Anthropic, &Method::GET, "/v1/messages"), None);
    }
}
