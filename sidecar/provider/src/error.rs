//! Errors of our own in the shape each provider's SDK expects, and the little that is read from the provider's.
//!
//! A provider's error goes to the client unmodified; nothing here rewrites one.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::{Endpoint, Provider};

/// SDKs obey it before their own rules on what to retry.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The reason word of a stream that the upstream cut.
const CUT: &str = "llmcache_upstream";

/// Errors of our own that a client can meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// The upstream could not be reached or gave no answer; SDKs retry it by their own rules.
    #[error("llmcache: the upstream did not answer; check its address in spec.upstreams, then retry")]
    DeadUpstream,
    /// `only-if-cached`, and nothing fresh is stored.
    #[error("llmcache: no stored answer, and cache-control: only-if-cached forbids asking the provider")]
    NotCached,
    /// `model: auto` before any policy has arrived.
    #[error(
        "llmcache: model auto needs a policy with routing, and none has arrived; name a model or apply an LLMCachePolicy"
    )]
    NoPolicy,
    /// `model: auto`, and the policy has no model of this provider for the tier.
    #[error("llmcache: {field} names no model of this provider; set it or name a model in the request")]
    NoTierModel {
        /// The policy field that lacks a model, such as `spec.routing.tiers[1].models.openai`.
        field: String,
    },
}

/// What is read from a provider's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// The provider's word for it, at most 64 bytes; `unknown` when the body states none.
    pub kind: String,
    /// A spend limit or an empty account: neither retried nor failed over.
    pub spend_limit: bool,
}

impl OwnError {
    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::DeadUpstream => StatusCode::BAD_GATEWAY,
            Self::NotCached => StatusCode::GATEWAY_TIMEOUT,
            Self::NoPolicy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoTierModel { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// The closed word for metrics and logs; also `OpenAI`'s `code`, behind `llmcache_`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::DeadUpstream => "upstream",
            Self::NotCached => "not_cached",
            Self::NoPolicy => "no_policy",
            Self::NoTierModel { .. } => "no_tier_model",
        }
    }

    /// The whole response: status, headers (`x-should-retry` where a retry cannot help) and the provider's envelope.
    pub fn response(&self, provider: Provider) -> Response<Bytes> {
        let mut response = Response::new(self.body(provider));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::NotCached | Self::NoPolicy => {
                headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            Self::DeadUpstream | Self::NoTierModel { .. } => {}
        }
        response
    }

    /// The provider's error envelope alone.
    pub fn body(&self, provider: Provider) -> Bytes {
        let message = self.to_string();
        let envelope = match provider {
            Provider::Anthropic => {
                json!({"type": "error", "error": {"type": self.anthropic_type(), "message": message}})
            }
            Provider::OpenAi => json!({"error": {
                "message": message,
                "type": self.openai_type(),
                "param": self.param(),
                "code": format!("llmcache_{}", self.word()),
            }}),
        };
        Bytes::from(envelope.to_string())
    }

    const fn anthropic_type(&self) -> &'static str {
        match self {
            Self::DeadUpstream => "api_error",
            Self::NotCached => "timeout_error",
            Self::NoPolicy => "overloaded_error",
            Self::NoTierModel { .. } => "invalid_request_error",
        }
    }

    const fn openai_type(&self) -> &'static str {
        match self {
            Self::DeadUpstream | Self::NotCached | Self::NoPolicy => "server_error",
            Self::NoTierModel { .. } => "invalid_request_error",
        }
    }

    const fn param(&self) -> Option<&'static str> {
        match self {
            Self::NoPolicy | Self::NoTierModel { .. } => Some("model"),
            Self::DeadUpstream | Self::NotCached => None,
        }
    }
}

/// The error event that ends a stream the upstream cut, wherever it was cut; `message` starts with `llmcache: `.
///
/// Without it SDKs take a cut stream for a short answer. It begins with a blank line, so that half an event before it
/// cannot swallow it.
pub fn stream_error(endpoint: Endpoint, message: &str) -> Bytes {
    let openai = json!({"message": message, "type": "server_error", "param": null, "code": CUT});
    let event = match endpoint {
        Endpoint::AnthropicMessages | Endpoint::AnthropicCountTokens => {
            let error = json!({"type": "api_error", "message": message});
            format!(
                "\n\nevent: error\ndata: {}\n\n",
                json!({"type": "error", "error": error})
            )
        }
        Endpoint::OpenAiChat | Endpoint::OpenAiEmbeddings => format!("\n\ndata: {}\n\n", json!({"error": openai})),
        // The SDKs raise on `error`; the event's documented members stand beside it.
        Endpoint::OpenAiResponses => {
            let event = json!({
                "type": "error", "code": CUT, "message": message, "param": null,
                "sequence_number": 0, "error": openai,
            });
            format!("\n\nevent: error\ndata: {event}\n\n")
        }
    };
    Bytes::from(event)
}

/// Reads what matters from a provider's error response; any body is accepted.
pub fn read_error(provider: Provider, status: StatusCode, body: &[u8]) -> ProviderError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error");
    let word = |name: &str| error.and_then(|error| error.get(name)).and_then(Value::as_str);
    let (kind, spend_limit) = match provider {
        Provider::Anthropic => {
            let details = error.and_then(|error| error.get("details"));
            let code = details.and_then(|details| details.get("error_code"));
            let is_limit = code.and_then(Value::as_str) == Some("enforced_spend_limit_reached");
            (word("type"), is_limit || status == StatusCode::PAYMENT_REQUIRED)
        }
        Provider::OpenAi => {
            let is_limit = |word: Option<&str>| word == Some("insufficient_quota");
            (
                word("code").or_else(|| word("type")),
                is_limit(word("code")) || is_limit(word("type")),
            )
        }
    };
    let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or("unknown");
    let kind = kind[..kind.floor_char_boundary(64)].to_owned();
    ProviderError { kind, spend_limit }
}

#[cfg(test)]
mod tests;
