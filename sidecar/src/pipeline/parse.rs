//! Stage 1, *parse*: bytes → a typed request that keeps them all. What is not understood, compressed or too large
//! is *opaque* and streams through untouched. This stage never fails a request.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header, request::Parts};
use hyper::body::{Body as _, Incoming};
use llmcache_provider::prompt::Prompt;
use llmcache_provider::{Endpoint, Provider, endpoint, request};

use crate::body::{self, Body};
use crate::memory::{Budget, Reservation};

/// Where Anthropic's versioned API begins; what else it serves (`/api/hello`) has no version.
const VERSIONED: [&str; 5] = ["complete", "files", "messages", "models", "skills"];

/// What a request turned out to be.
pub(crate) enum Parsed {
    /// Understood.
    Typed(Box<Call>),
    /// Streams through.
    Opaque(Box<Opaque>),
}

/// An understood request.
pub(crate) struct Call {
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// Path and query at the upstream, below its base URL.
    pub path: String,
    /// The client's headers.
    pub headers: HeaderMap,
    /// The typed view with the exact bytes.
    pub request: request::Request,
    prompt: OnceLock<Prompt>,
    _memory: Reservation,
}

/// A request that streams through.
pub(crate) struct Opaque {
    /// Whose API it is for.
    pub provider: Provider,
    /// The endpoint, where the path names one.
    pub endpoint: Option<Endpoint>,
    /// Why it was not parsed: a word of the `bypass_total` metric.
    pub reason: &'static str,
    /// Path and query at the upstream, below its base URL.
    pub path: String,
    /// The request, its body whole.
    pub request: Request<Body>,
    /// The body once more where it was already read or is empty: such a request can be sent again.
    pub again: Option<Bytes>,
}

impl Call {
    /// The prompt as the provider renders it, laid out once per request.
    pub(crate) fn prompt(&self) -> &Prompt {
        self.prompt.get_or_init(|| self.request.prompt())
    }
}

/// Reads and parses one request; `rest` is its path and query below `/anthropic` or `/openai`.
pub(crate) async fn read(budget: &Budget, provider: Provider, rest: &str, request: Request<Incoming>) -> Parsed {
    let endpoint = endpoint::resolve(provider, request.method(), rest);
    let path = upstream_path(provider, rest);
    let (parts, incoming) = request.into_parts();
    let opaque = |parts, body, reason, again| {
        let request = Request::from_parts(parts, body);
        Parsed::Opaque(Box::new(Opaque {
            provider,
            endpoint,
            reason,
            path: path.clone(),
            request,
            again,
        }))
    };
    let Some(endpoint) = endpoint else {
        let again = incoming.is_end_stream().then(Bytes::new);
        return opaque(parts, body::incoming(incoming), "endpoint", again);
    };
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return opaque(parts, body::incoming(incoming), "compressed", None);
    }
    let mut memory = budget.open();
    let bytes = match body::buffer(incoming, &mut memory).await {
        Ok(bytes) => bytes,
        Err(left) => return opaque(parts, left.body, left.reason.word(), None),
    };
    match request::Request::parse(endpoint, bytes.clone()) {
        Ok(request) => {
            let Parts { headers, .. } = parts;
            Parsed::Typed(Box::new(Call {
                endpoint,
                path,
                headers,
                request,
                prompt: OnceLock::new(),
                _memory: memory,
            }))
        }
        Err(error) => opaque(parts, body::held(bytes.clone(), memory), error.word(), Some(bytes)),
    }
}

/// `<proxy>/openai/v1/REST` is `URL/REST`; `<proxy>/anthropic/REST` is `URL/REST`. Some clients leave the version
/// out (Vercel's takes a base URL to hold it); Anthropic's API gets it back, OpenAI's base URL holds it anyway.
fn upstream_path(provider: Provider, rest: &str) -> String {
    let has_version = rest == "/v1" || rest.starts_with("/v1/") || rest.starts_with("/v1?");
    let begins = rest.strip_prefix('/').and_then(|rest| rest.split(['/', '?']).next());
    match provider {
        Provider::OpenAi if has_version => rest["/v1".len()..].to_owned(),
        Provider::Anthropic if begins.is_some_and(|begins| VERSIONED.contains(&begins)) => format!("/v1{rest}"),
        Provider::OpenAi | Provider::Anthropic => rest.to_owned(),
    }
}

/// Whether the client asks to speak another protocol on this connection (OpenAI's realtime API does).
pub(crate) fn is_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET && headers.contains_key(header::UPGRADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_reach_the_upstream_below_its_base_url() {
        let cases = [
            (Provider::OpenAi, "/v1/chat/completions", "/chat/completions"),
            (Provider::OpenAi, "/chat/completions?a=b", "/chat/completions?a=b"),
            (Provider::OpenAi, "/v1", ""),
            (Provider::OpenAi, "/v1beta/x", "/v1beta/x"),
            (Provider::Anthropic, "/v1/messages?beta=true", "/v1/messages?beta=true"),
            (Provider::Anthropic, "/messages", "/v1/messages"),
            (
                Provider::Anthropic,
                "/messages/batches?limit=2",
                "/v1/messages/batches?limit=2",
            ),
            (Provider::Anthropic, "/files", "/v1/files"),
            (
                Provider::Anthropic,
                "/skills/skill_1/versions/2",
                "/v1/skills/skill_1/versions/2",
            ),
            (Provider::Anthropic, "/models?limit=1", "/v1/models?limit=1"),
            (Provider::Anthropic, "/v1/files", "/v1/files"),
            (Provider::Anthropic, "/filesystem", "/filesystem"),
            (Provider::Anthropic, "/api/hello", "/api/hello"),
        ];
        for (provider, rest, expected) in cases {
            assert_eq!(upstream_path(provider, rest), expected, "{rest}");
        }
    }
}
